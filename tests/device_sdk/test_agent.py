"""One pass of the protocol, when nothing goes wrong on the way, and when the orchestrator says no."""

import numpy as np
import pytest

from device_sdk.agent import OVER, UNACCEPTABLE, Pass
from device_sdk.errors import RefusedError, TransportError
from plans import bundle, client
from plans.manifest import FEATURES
from plans.program import Program
from tests.device_sdk.conftest import Device
from tests.device_sdk.memory_orchestrator import BROADCAST, UPDATE_BYTES, Fault, MemoryOrchestrator
from tests.golden.make_plans import LINEAR
from wire import routes, tensors
from wire.errors import ErrorCode
from wire.messages import Assignment, CollectionSummary, Outcome


def expected_update(device: Device, assignment: Assignment) -> bytes:
    """What a device must upload: the plan run by hand."""
    plan = bundle.unpack(LINEAR.read_bytes())
    examples = {"default": device.store.collection("default")}
    work = plan.manifest.work(assignment.work)
    return tensors.encode(client.run(Program(plan.client), work, BROADCAST, examples, seed=assignment.seed).update)


def test_a_device_without_work_rests_as_long_as_it_is_told(device: Device, orchestrator: MemoryOrchestrator) -> None:
    orchestrator.rest_seconds = 12.5
    assert device.run_once() == Pass(rest_seconds=12.5)
    assert orchestrator.calls == ["challenge", "open_session", "check_in"]


def test_a_check_in_tells_little(device: Device, orchestrator: MemoryOrchestrator) -> None:
    device.run_once()
    (check_in,) = orchestrator.check_ins
    assert check_in.collections == (CollectionSummary("default", 8),)
    assert check_in.attributes == {"split": "train"}
    assert check_in.runtime.features == tuple(sorted(FEATURES))
    assert check_in.runtime.interpreter


def test_training_uploads_the_update_of_the_plan_and_reports_its_metrics(
    device: Device, orchestrator: MemoryOrchestrator
) -> None:
    assignment = orchestrator.assign()
    assert device.run_once() == Pass(Outcome.COMPLETED)
    report = orchestrator.reports[assignment.assignment_id]
    update = orchestrator.uploads[routes.update(assignment.assignment_id)]
    assert update == expected_update(device, assignment)
    assert report.update is not None
    assert report.update.resource.sha256 == bundle.digest(update)
    assert report.metrics["loss_count"] == 10
    assert orchestrator.calls[2:] == ["check_in", "fetch", "fetch", "plan_upload", "upload", "report"]
    assert device.is_idle


def test_an_update_that_nobody_wants_to_hear_of_first_is_sent_at_once(
    device: Device, orchestrator: MemoryOrchestrator
) -> None:
    orchestrator.hears_of_updates = False
    assignment = orchestrator.assign()
    assert device.run_once() == Pass(Outcome.COMPLETED)
    assert orchestrator.calls[2:] == ["check_in", "fetch", "fetch", "upload", "report"]
    assert orchestrator.uploads[routes.update(assignment.assignment_id)] == expected_update(device, assignment)


@pytest.mark.parametrize("fault", Fault)
def test_one_that_was_cut_asks_what_is_missing(device: Device, orchestrator: MemoryOrchestrator, fault: Fault) -> None:
    orchestrator.hears_of_updates = False
    assignment = orchestrator.assign()
    orchestrator.fail("upload", fault)
    with pytest.raises(TransportError):
        device.run_once()
    assert device.run_once() == Pass(Outcome.COMPLETED)
    again = ["report"] if fault is Fault.LOST else ["report", "plan_upload", "upload", "report"]
    assert orchestrator.calls[5:] == ["upload", "challenge", "open_session", *again]
    assert orchestrator.uploads[routes.update(assignment.assignment_id)] == expected_update(device, assignment)


def test_an_evaluation_reports_metrics_and_no_update(device: Device, orchestrator: MemoryOrchestrator) -> None:
    model = {name: BROADCAST[name] for name in ("w", "b")}
    assignment = orchestrator.assign(work="evaluate", broadcast=model)
    assert device.run_once() == Pass(Outcome.COMPLETED)
    report = orchestrator.reports[assignment.assignment_id]
    examples = device.store.collection("default").read(list(range(10)))
    error = examples["x"] @ BROADCAST["w"] + BROADCAST["b"] - examples["y"]
    assert report.metrics["loss_sum"] == pytest.approx(float(error @ error), rel=1e-5)
    assert report.update is None
    assert "upload" not in orchestrator.calls


def test_an_update_travels_in_the_parts_that_the_assignment_names(
    device: Device, orchestrator: MemoryOrchestrator
) -> None:
    assignment = orchestrator.assign(upload=(100, 60, UPDATE_BYTES - 160))
    assert device.run_once().outcome is Outcome.COMPLETED
    assert orchestrator.uploads[routes.update(assignment.assignment_id)] == expected_update(device, assignment)
    assert orchestrator.calls.count("upload") == 3


def test_an_assignment_without_parts_is_uploaded_to_the_orchestrator(
    device: Device, orchestrator: MemoryOrchestrator
) -> None:
    orchestrator.assign(upload=())
    assert device.run_once().outcome is Outcome.COMPLETED


@pytest.mark.parametrize("sizes", [(UPDATE_BYTES - 1,), (UPDATE_BYTES, 1)])
def test_parts_for_another_size_fail_the_work(
    device: Device, orchestrator: MemoryOrchestrator, sizes: tuple[int, ...]
) -> None:
    assignment = orchestrator.assign(upload=sizes)
    assert device.run_once().outcome is Outcome.FAILED
    assert f"the update has {UPDATE_BYTES} bytes" in orchestrator.reports[assignment.assignment_id].reason


def test_a_plan_and_a_broadcast_are_fetched_once(device: Device, orchestrator: MemoryOrchestrator) -> None:
    for _ in range(3):
        orchestrator.assign()
        device.run_once()
    assert orchestrator.calls.count("fetch") == 2


def test_a_session_lasts_for_many_passes(device: Device, orchestrator: MemoryOrchestrator) -> None:
    agent = device.agent()
    for _ in range(3):
        orchestrator.assign()
        agent.run_once()
    assert orchestrator.calls.count("open_session") == 1


@pytest.mark.parametrize("when", ["check_in", "fetch", "plan_upload", "upload", "report"])
def test_a_session_that_ends_is_earned_anew(device: Device, orchestrator: MemoryOrchestrator, when: str) -> None:
    orchestrator.assign()
    orchestrator.fail(when, RefusedError(ErrorCode.UNAUTHENTICATED, 401, "the session has ended"))
    assert device.run_once().outcome is Outcome.COMPLETED
    assert orchestrator.calls.count("open_session") == 2


def test_a_device_that_is_refused_anew_says_so(device: Device, orchestrator: MemoryOrchestrator) -> None:
    for _ in range(2):
        orchestrator.fail("check_in", RefusedError(ErrorCode.UNAUTHENTICATED, 401, "no"))
    with pytest.raises(RefusedError, match="unauthenticated"):
        device.run_once()


@pytest.mark.parametrize("code", sorted(OVER))
@pytest.mark.parametrize("when", ["fetch", "plan_upload", "upload", "report"])
def test_an_assignment_that_is_over_is_dropped(
    device: Device, orchestrator: MemoryOrchestrator, when: str, code: ErrorCode
) -> None:
    orchestrator.assign()
    orchestrator.fail(when, RefusedError(code, 409, "no"))
    assert device.run_once() == Pass()
    assert device.is_idle
    assert not orchestrator.reports


@pytest.mark.parametrize("code", sorted(UNACCEPTABLE))
@pytest.mark.parametrize("when", ["plan_upload", "upload", "report"])
def test_an_update_that_is_never_taken_is_reported_as_a_failure(
    device: Device, orchestrator: MemoryOrchestrator, when: str, code: ErrorCode
) -> None:
    """The orchestrator, which still waits, would hand out the same assignment again."""
    assignment = orchestrator.assign()
    orchestrator.fail(when, RefusedError(code, 422, "too large for the sum"))
    assert device.run_once() == Pass(Outcome.FAILED)
    assert device.is_idle
    report = orchestrator.reports[assignment.assignment_id]
    assert report.reason == f"the orchestrator refused it: too large for the sum ({code})"
    assert report.update is None


def test_a_failure_that_is_never_taken_is_dropped(device: Device, orchestrator: MemoryOrchestrator) -> None:
    orchestrator.assign()
    for _ in range(3):
        orchestrator.fail("report", RefusedError(ErrorCode.INVALID_REQUEST, 422, "no"))
    with pytest.raises(RefusedError):
        device.run_once()
    assert device.run_once() == Pass()
    assert device.is_idle


@pytest.mark.parametrize("when", ["fetch", "plan_upload", "upload", "report"])
def test_another_refusal_is_tried_again_until_the_deadline(
    device: Device, orchestrator: MemoryOrchestrator, when: str
) -> None:
    orchestrator.assign()
    orchestrator.fail(when, RefusedError(ErrorCode.DIGEST_MISMATCH, 400, "damaged on the way"))
    with pytest.raises(RefusedError):
        device.run_once()
    assert device.run_once().outcome is Outcome.COMPLETED


def test_a_refusal_after_the_deadline_ends_the_assignment(device: Device, orchestrator: MemoryOrchestrator) -> None:
    orchestrator.assign()
    orchestrator.fail("report", RefusedError(ErrorCode.DIGEST_MISMATCH, 400, "damaged on the way"))
    with pytest.raises(RefusedError):
        device.run_once()
    device.now += 61
    orchestrator.fail("report", RefusedError(ErrorCode.DIGEST_MISMATCH, 400, "damaged on the way"))
    assert device.run_once() == Pass()
    assert device.is_idle


def test_work_that_outlives_its_deadline_is_given_up(device: Device, orchestrator: MemoryOrchestrator) -> None:
    def slow(done: int, total: int) -> None:
        device.elapsed += 40

    device.on_step = slow
    orchestrator.assign()
    assert device.run_once() == Pass()
    assert device.is_idle
    assert orchestrator.reports == {}


def test_a_clock_that_is_set_during_the_work_does_not_end_it(device: Device, orchestrator: MemoryOrchestrator) -> None:
    def synchronise(done: int, total: int) -> None:
        device.now += 50 * 365 * 24 * 3600  # a board without a battery hears what time it is

    device.now = 0.0
    device.on_step = synchronise
    orchestrator.assign()
    assert device.run_once().outcome is Outcome.COMPLETED


def test_a_model_that_is_not_finite_fails_and_uploads_nothing(device: Device, orchestrator: MemoryOrchestrator) -> None:
    assignment = orchestrator.assign(broadcast=BROADCAST | {"w": np.full(2, np.nan, np.float32)})
    assert device.run_once().outcome is Outcome.FAILED
    assert "not finite" in orchestrator.reports[assignment.assignment_id].reason
    assert "upload" not in orchestrator.calls


def test_a_broadcast_that_is_not_the_plans_fails(device: Device, orchestrator: MemoryOrchestrator) -> None:
    assignment = orchestrator.assign(broadcast={"w": np.zeros(2, np.float32)})
    assert device.run_once().outcome is Outcome.FAILED
    assert "the broadcast is not what the plan says" in orchestrator.reports[assignment.assignment_id].reason
