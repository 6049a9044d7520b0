"""What a device will not do: it says why, and neither parses nor runs it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from device_sdk.errors import TransportError
from device_sdk.examples import ExampleStore
from plans import bundle
from plans.manifest import Manifest
from tests.device_sdk.conftest import Device, linear_examples
from tests.device_sdk.memory_orchestrator import NOW, MemoryOrchestrator
from tests.golden.make_plans import LINEAR
from tests.plans.linear import passing
from wire.messages import Assignment, Outcome, Resource
from wire.tensors import Array

PLAN = bundle.unpack(LINEAR.read_bytes())


def declined(device: Device, orchestrator: MemoryOrchestrator, assignment: Assignment) -> str:
    """The reason that the device gave."""

    def never(done: int, total: int) -> None:
        pytest.fail("a plan was run that must not be")

    device.on_step = never
    assert device.run_once().outcome is Outcome.DECLINED
    assert device.is_idle
    report = orchestrator.reports[assignment.assignment_id]
    assert report.update is None
    return report.reason


UNTRUSTED = {
    "another population": ({"population": "others"}, "population 'others'"),
    "another task": ({"task_id": "task-2"}, "task 'task-2'"),
    "another plan": ({"plan_sha256": "0" * 64}, "its statement is about 0000"),
    "expired": ({"expires": int(NOW) - 10}, "expired 10 seconds ago"),
    "an unknown key": ({"key_id": "stranger"}, "its key 'stranger' is none of those pinned"),
    "an unknown algorithm": ({"algorithm": "es256"}, "signed with 'es256'"),
    "an unknown privacy demand": ({"privacy": {"secure_sum": "required"}}, "demands secure_sum"),
}


@pytest.mark.parametrize(("changes", "reason"), UNTRUSTED.values(), ids=UNTRUSTED)
def test_an_untrusted_plan_is_not_even_fetched(
    device: Device, orchestrator: MemoryOrchestrator, changes: dict[str, Any], reason: str
) -> None:
    assignment = orchestrator.assign(**changes)
    assert reason in declined(device, orchestrator, assignment)
    assert "fetch" not in orchestrator.calls


def test_a_plan_signed_by_a_stranger_is_not_fetched(device: Device, orchestrator: MemoryOrchestrator) -> None:
    assignment = orchestrator.assign(signer=Ed25519PrivateKey.generate())
    assert "its signature is not one of the key 'operator'" in declined(device, orchestrator, assignment)
    assert "fetch" not in orchestrator.calls


def test_a_statement_changed_after_it_was_signed_is_refused(device: Device, orchestrator: MemoryOrchestrator) -> None:
    assignment = orchestrator.assign()
    statement = replace(assignment.plan.statement, version=9)
    orchestrator.waiting[0] = replace(assignment, plan=replace(assignment.plan, statement=statement))
    assert "signature" in declined(device, orchestrator, assignment)


def test_a_plan_with_one_byte_changed_is_refused(device: Device, orchestrator: MemoryOrchestrator) -> None:
    assignment = orchestrator.assign()
    tampered = bytearray(LINEAR.read_bytes())
    tampered[20_000] ^= 1
    resource = orchestrator.keep(bytes(tampered))
    orchestrator.waiting[0] = replace(assignment, plan=replace(assignment.plan, resource=resource))
    assert "its statement is about" in declined(device, orchestrator, assignment)
    assert "fetch" not in orchestrator.calls


def test_bytes_that_are_not_the_digests_are_never_used(device: Device, orchestrator: MemoryOrchestrator) -> None:
    """The orchestrator, or someone between, hands out other bytes under the plan's name."""
    assignment = orchestrator.assign()
    sound = orchestrator.resources[assignment.plan.resource.sha256]
    orchestrator.resources[assignment.plan.resource.sha256] = sound[:-1] + b"?"
    with pytest.raises(TransportError, match=r"expected [0-9]+ bytes with the SHA-256"):
        device.run_once()
    orchestrator.resources[assignment.plan.resource.sha256] = sound
    assert device.run_once().outcome is Outcome.COMPLETED


def test_an_older_version_is_refused_even_after_a_restart(device: Device, orchestrator: MemoryOrchestrator) -> None:
    orchestrator.assign(version=3)
    assert device.run_once().outcome is Outcome.COMPLETED
    orchestrator.assign(version=3)
    assert device.run_once().outcome is Outcome.COMPLETED
    assignment = orchestrator.assign(version=2)
    assert "it is version 2; this device has seen version 3" in declined(device, orchestrator, assignment)


def test_a_refused_plan_does_not_raise_the_version(device: Device, orchestrator: MemoryOrchestrator) -> None:
    orchestrator.assign(version=9, signer=Ed25519PrivateKey.generate())
    device.run_once()
    orchestrator.assign(version=1)
    assert device.run_once().outcome is Outcome.COMPLETED


def test_a_clock_that_was_never_set_does_not_expire_plans(device: Device, orchestrator: MemoryOrchestrator) -> None:
    device.now = 100.0
    orchestrator.assign(expires=50)
    assert device.run_once().outcome is Outcome.COMPLETED


def test_an_enormous_resource_is_declined_unfetched(device: Device, orchestrator: MemoryOrchestrator) -> None:
    assignment = orchestrator.assign()
    orchestrator.waiting[0] = replace(assignment, broadcast=Resource("0" * 64, 1 << 40))
    assert "a device takes" in declined(device, orchestrator, assignment)


def manifest_with(**changes: Any) -> bytes:
    return bundle.pack(replace(PLAN, manifest=replace(PLAN.manifest, **changes)))


def client_without_step() -> Manifest:
    train = passing(step="missing_step")
    return replace(PLAN.manifest, phases=(replace(PLAN.manifest.phases[0], works={"train": train}),))


UNSUPPORTED = {
    "a feature": (manifest_with(required_features=("telepathy",)), "needs the feature 'telepathy'"),
    "a newer format": (manifest_with(format_version=2), "format 2"),
    "two phases": (manifest_with(phases=PLAN.manifest.phases * 2), "2 phases"),
    "no plan": (b"not a plan", "not"),
    "no such signature": (bundle.pack(replace(PLAN, manifest=client_without_step())), "'missing_step'"),
    "no program": (bundle.pack(replace(PLAN, client=b"not a program")), "cannot load the program"),
}


@pytest.mark.parametrize(("plan", "reason"), UNSUPPORTED.values(), ids=UNSUPPORTED)
def test_a_plan_that_asks_for_more_is_declined(
    device: Device, orchestrator: MemoryOrchestrator, plan: bytes, reason: str
) -> None:
    assignment = orchestrator.assign(plan=plan)
    assert reason in declined(device, orchestrator, assignment)


def test_a_work_that_the_plan_lacks_is_declined(device: Device, orchestrator: MemoryOrchestrator) -> None:
    assignment = orchestrator.assign(work="train")
    orchestrator.waiting[0] = replace(assignment, work="personalise")
    assert "no work 'personalise'" in declined(device, orchestrator, assignment)


X, Y = linear_examples()["x"], linear_examples()["y"]
UNFIT: dict[str, tuple[dict[str, Array], str]] = {
    "no collection": ({}, "no examples: there is no collection 'default'"),
    "no examples": ({"x": X[:0], "y": Y[:0]}, "no examples: the collection 'default' is empty"),
    "no field": ({"x": X}, "the plan needs y=float32 in 'default', which has no such field"),
    "another shape": ({"x": X[:, :1], "y": Y}, "the plan needs x=float32[2] in 'default', which has float32[1]"),
    "another dtype": ({"x": X, "y": Y.astype(np.int32)}, "y=float32 in 'default', which has int32"),
}


@pytest.mark.parametrize(("arrays", "reason"), UNFIT.values(), ids=UNFIT)
def test_work_for_other_examples_is_declined(
    device: Device, orchestrator: MemoryOrchestrator, arrays: dict[str, Array], reason: str
) -> None:
    device.store = ExampleStore(device.state.path / "other.sqlite")
    if arrays:
        device.store.append("default", arrays)
    try:
        assert reason in declined(device, orchestrator, orchestrator.assign())
    finally:
        device.store.close()


def test_damaged_plan_versions_are_set_aside(device: Device, orchestrator: MemoryOrchestrator) -> None:
    device.state.plan_versions.write_bytes(b'{"by_task": 3}')
    orchestrator.assign()
    assert device.run_once().outcome is Outcome.COMPLETED
    assert device.state.plan_versions.with_name("plan_versions.json.corrupt").exists()
