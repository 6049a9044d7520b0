"""A device does works of several passes over several collections, and works that need no data."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from device_sdk.enrolment import enrol
from device_sdk.examples import ExampleStore
from device_sdk.state_dir import StateDir
from plans import bundle, client
from plans.bundle import Plan
from plans.manifest import Phase, Work
from plans.program import Program
from tests.device_sdk.conftest import Device
from tests.device_sdk.memory_orchestrator import TOKEN, MemoryOrchestrator
from tests.plans.readings import BROADCAST, COUNTING, PLAN, WORK, stations
from wire import routes, tensors
from wire.messages import Assignment, Outcome
from wire.tensors import Array

(STATION,) = stations(7)
HELD = {"temperature": {"celsius": STATION.celsius}, "battery": {"percent": STATION.percent}}


@pytest.fixture
def store(tmp_path: Path, state: StateDir) -> Iterator[ExampleStore]:
    opened = ExampleStore(state.examples)
    yield opened
    opened.close()


@pytest.fixture
def device(state: StateDir, store: ExampleStore, orchestrator: MemoryOrchestrator) -> Device:
    """A device without examples."""
    enrol(state, orchestrator, url="https://in.memory", token=TOKEN, attributes={})
    return Device(state, orchestrator, store)


def assign(orchestrator: MemoryOrchestrator, plan: Plan = PLAN, **changes: Any) -> Assignment:
    """An assignment of a plan's only work, with some fields of it changed."""
    ((name, work),) = plan.manifest.works.items()
    changed: Work = replace(work, **changes)
    manifest = replace(plan.manifest, phases=(Phase({name: changed}),))
    return orchestrator.assign(
        work=name,
        plan=bundle.pack(replace(plan, manifest=manifest)),
        broadcast=BROADCAST if work.broadcast else {},
        upload=(tensors.encoded_size(work.update_specs),),
    )


def hold(store: ExampleStore, **collections: dict[str, Array]) -> None:
    for name, arrays in collections.items():
        store.append(name, arrays)


def test_every_pass_goes_through_its_own_collection(device: Device, orchestrator: MemoryOrchestrator) -> None:
    hold(device.store, **HELD)
    assignment = assign(orchestrator)
    told: list[tuple[int, int]] = []
    device.on_step = lambda done, total: told.append((done, total))
    assert device.run_once().outcome is Outcome.COMPLETED
    expected = client.run(Program(PLAN.client), WORK, BROADCAST, STATION.examples, seed=assignment.seed)
    sent = orchestrator.uploads[routes.update(assignment.assignment_id)]
    assert sent == tensors.encode(expected.update)
    assert expected.update["level"] == STATION.percent[-1]
    assert told == [(done, 9) for done in range(1, 10)]


def test_what_was_stored_last_is_the_newest(device: Device, orchestrator: MemoryOrchestrator) -> None:
    hold(device.store, **HELD)
    hold(device.store, battery={"percent": np.array([3], np.int32)})
    assignment = assign(orchestrator)
    device.run_once()
    update = tensors.decode(orchestrator.uploads[routes.update(assignment.assignment_id)])
    assert update["level"] == 3


def test_a_work_without_passes_needs_no_examples(device: Device, orchestrator: MemoryOrchestrator) -> None:
    assignment = assign(orchestrator, COUNTING)
    assert device.run_once().outcome is Outcome.COMPLETED
    update = tensors.decode(orchestrator.uploads[routes.update(assignment.assignment_id)])
    assert update["present"] == 1


def test_a_work_that_sends_nothing_is_reported_without_an_update(
    device: Device, orchestrator: MemoryOrchestrator
) -> None:
    assignment = assign(orchestrator, COUNTING, update={}, aggregation=(), update_state="note")
    assert device.run_once().outcome is Outcome.COMPLETED
    report = orchestrator.reports[assignment.assignment_id]
    assert (report.update, report.metrics) == (None, {})


DECLINED: dict[str, tuple[dict[str, dict[str, Array]], str]] = {
    "no collection": ({}, "no examples: there is no collection 'temperature'"),
    "one of two collections": (
        {"temperature": HELD["temperature"]},
        "no examples: there is no collection 'battery'",
    ),
    "an empty one of two": (
        HELD | {"battery": {"percent": np.zeros(0, np.int32)}},
        "no examples: the collection 'battery' is empty",
    ),
    "another field in the second": (
        HELD | {"battery": {"volts": STATION.percent}},
        "wrong fields: the plan needs percent=int32 in 'battery', which has no such field",
    ),
    "another dtype in the second": (
        HELD | {"battery": {"percent": STATION.percent.astype(np.float32)}},
        "wrong fields: the plan needs percent=int32 in 'battery', which has float32",
    ),
}


@pytest.mark.parametrize(("held", "reason"), DECLINED.values(), ids=DECLINED)
def test_a_device_that_lacks_a_collection_declines(
    device: Device, orchestrator: MemoryOrchestrator, held: dict[str, dict[str, Array]], reason: str
) -> None:
    hold(device.store, **held)
    assignment = assign(orchestrator)
    assert device.run_once().outcome is Outcome.DECLINED
    assert orchestrator.reports[assignment.assignment_id].reason == reason


def test_an_update_that_is_not_finite_fails_without_advice_on_learning(
    device: Device, orchestrator: MemoryOrchestrator
) -> None:
    hold(device.store, **HELD)
    hold(device.store, temperature={"celsius": np.array([np.inf], np.float32)})
    assignment = assign(orchestrator)
    assert device.run_once().outcome is Outcome.FAILED
    reason = orchestrator.reports[assignment.assignment_id].reason
    assert reason.endswith("is not finite after the work")
