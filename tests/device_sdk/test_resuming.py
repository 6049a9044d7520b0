"""A device that stops anywhere goes on: one report arrives, of the update that an undisturbed device would send."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_sdk.agent import MAX_ATTEMPTS, Pass
from device_sdk.enrolment import enrol
from device_sdk.errors import TransportError
from device_sdk.examples import ExampleStore
from device_sdk.journal import Journal
from device_sdk.state_dir import StateDir
from tests.device_sdk.conftest import Device, linear_examples
from tests.device_sdk.memory_orchestrator import TOKEN, UPDATE_BYTES, Fault, MemoryOrchestrator
from tests.device_sdk.test_agent import expected_update
from wire import routes
from wire.messages import Assignment, Outcome

CALLS = ("challenge", "open_session", "fetch", "plan_upload", "upload", "report")


def power_cut(done: int, total: int) -> None:
    """The process ends here, as it does at SIGTERM."""
    raise KeyboardInterrupt


def assert_reported(device: Device, orchestrator: MemoryOrchestrator, assignment: Assignment) -> None:
    assert device.is_idle
    assert list(orchestrator.reports) == [assignment.assignment_id]
    assert orchestrator.reports[assignment.assignment_id].outcome is Outcome.COMPLETED
    assert orchestrator.uploads[routes.update(assignment.assignment_id)] == expected_update(device, assignment)


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_fails_is_made_again_by_the_next_process(
    device: Device, orchestrator: MemoryOrchestrator, call: str, fault: Fault
) -> None:
    assignment = orchestrator.assign()
    orchestrator.fail(call, fault)
    with pytest.raises(TransportError) as failure:
        device.run_once()
    assert failure.value.retry_after_seconds == 7.0
    assert device.run_once() == Pass(Outcome.COMPLETED)
    assert_reported(device, orchestrator, assignment)


def test_a_lost_answer_to_a_report_sends_the_report_again_and_not_the_update(
    device: Device, orchestrator: MemoryOrchestrator
) -> None:
    assignment = orchestrator.assign()
    orchestrator.fail("report", Fault.LOST)
    with pytest.raises(TransportError):
        device.run_once()
    first = orchestrator.sent[-1]
    assert device.run_once().outcome is Outcome.COMPLETED
    assert orchestrator.sent[-1] == first
    assert orchestrator.calls.count("upload") == 1
    assert_reported(device, orchestrator, assignment)


def test_only_the_parts_that_are_missing_are_sent_again(device: Device, orchestrator: MemoryOrchestrator) -> None:
    assignment = orchestrator.assign(upload=(100, 60, UPDATE_BYTES - 160))
    orchestrator.fail("upload", Fault.LOST)
    for _ in range(2):
        with pytest.raises(TransportError):
            device.run_once()
        orchestrator.fail("upload", Fault.LOST)
    with pytest.raises(TransportError):
        device.run_once()
    assert device.run_once().outcome is Outcome.COMPLETED
    assert orchestrator.calls.count("upload") == 3
    assert_reported(device, orchestrator, assignment)


def test_a_declined_report_is_sent_again(device: Device, orchestrator: MemoryOrchestrator) -> None:
    assignment = orchestrator.assign(population="others")
    orchestrator.fail("report", Fault.CUT)
    with pytest.raises(TransportError):
        device.run_once()
    assert device.run_once().outcome is Outcome.DECLINED
    assert orchestrator.reports[assignment.assignment_id].outcome is Outcome.DECLINED


def test_a_device_killed_while_it_trains_trains_again(device: Device, orchestrator: MemoryOrchestrator) -> None:
    assignment = orchestrator.assign()
    device.on_step = power_cut
    with pytest.raises(KeyboardInterrupt):
        device.run_once()
    device.on_step = lambda done, total: None
    assert device.run_once().outcome is Outcome.COMPLETED
    assert_reported(device, orchestrator, assignment)


def test_a_work_that_kills_the_device_each_time_is_given_up(device: Device, orchestrator: MemoryOrchestrator) -> None:
    assignment = orchestrator.assign()
    device.on_step = power_cut
    for _ in range(MAX_ATTEMPTS):
        with pytest.raises(KeyboardInterrupt):
            device.run_once()
    assert device.run_once().outcome is Outcome.FAILED
    assert "stopped in the middle of the work 3 times" in orchestrator.reports[assignment.assignment_id].reason


def test_work_is_dropped_once_its_deadline_has_passed(device: Device, orchestrator: MemoryOrchestrator) -> None:
    orchestrator.assign()
    device.on_step = power_cut
    with pytest.raises(KeyboardInterrupt):
        device.run_once()
    device.now += 61
    assert device.run_once() == Pass()
    assert device.is_idle


def test_a_trained_update_is_reported_even_after_its_deadline(device: Device, orchestrator: MemoryOrchestrator) -> None:
    assignment = orchestrator.assign()
    orchestrator.fail("upload", Fault.CUT)
    with pytest.raises(TransportError):
        device.run_once()
    device.now += 61
    assert device.run_once().outcome is Outcome.COMPLETED
    assert_reported(device, orchestrator, assignment)


def cut_after_assigning(journal: Journal, assignment: Assignment, deadline: float) -> None:
    journal.open(assignment, deadline)


def cut_after_beginning(journal: Journal, assignment: Assignment, deadline: float) -> None:
    journal.begin(journal.open(assignment, deadline))


def cut_between_the_update_and_its_report(journal: Journal, assignment: Assignment, deadline: float) -> None:
    journal.begin(journal.open(assignment, deadline))
    journal._state.update.write_bytes(b"an update that no report speaks of")


def cut_in_the_middle_of_a_write(journal: Journal, assignment: Assignment, deadline: float) -> None:
    journal.open(assignment, deadline)
    journal._state.journal.with_name("journal.json.tmp").write_bytes(b'{"assi')
    journal._state.update.with_name("update.safetensors.tmp").write_bytes(b"half")


@pytest.mark.parametrize(
    "cut",
    [
        cut_after_assigning,
        cut_after_beginning,
        cut_between_the_update_and_its_report,
        cut_in_the_middle_of_a_write,
    ],
)
def test_every_state_of_the_disk_is_taken_up(
    device: Device, orchestrator: MemoryOrchestrator, cut: Callable[[Journal, Assignment, float], None]
) -> None:
    assignment = orchestrator.assign()
    orchestrator.assigned[assignment.assignment_id] = orchestrator.waiting.pop()
    cut(Journal(device.state), assignment, device.now + 60)
    assert device.run_once().outcome is Outcome.COMPLETED
    assert "check_in" not in orchestrator.calls
    assert_reported(device, orchestrator, assignment)


def test_a_damaged_update_is_trained_again(device: Device, orchestrator: MemoryOrchestrator) -> None:
    assignment = orchestrator.assign()
    orchestrator.fail("upload", Fault.CUT)
    with pytest.raises(TransportError):
        device.run_once()
    device.state.update.write_bytes(b"damaged")
    assert device.run_once().outcome is Outcome.COMPLETED
    assert_reported(device, orchestrator, assignment)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"{}", b'{"assignment": null}', b"[" * 100_000])
def test_a_corrupt_journal_is_set_aside(device: Device, orchestrator: MemoryOrchestrator, content: bytes) -> None:
    device.state.journal.write_bytes(content)
    assert device.run_once().rest_seconds == 5.0
    assert device.state.journal.with_name("journal.json.corrupt").read_bytes() == content
    orchestrator.assign()
    assert device.run_once().outcome is Outcome.COMPLETED


def test_a_damaged_resource_in_the_cache_is_fetched_again(device: Device, orchestrator: MemoryOrchestrator) -> None:
    orchestrator.assign()
    device.run_once()
    for path in device.state.cache.iterdir():
        path.write_bytes(b"damaged")
    orchestrator.assign()
    assert device.run_once().outcome is Outcome.COMPLETED
    assert orchestrator.calls.count("fetch") == 4


FAULTS = st.lists(st.tuples(st.sampled_from(CALLS), st.sampled_from(Fault)), max_size=8)


@settings(max_examples=25, deadline=None)
@given(faults=FAULTS)
def test_whatever_fails_however_often_one_report_arrives(faults: list[tuple[str, Fault]]) -> None:
    with TemporaryDirectory() as folder:
        orchestrator, state = MemoryOrchestrator(), StateDir(Path(folder))
        enrol(state, orchestrator, url="https://in.memory", token=TOKEN, attributes={})
        store = ExampleStore(state.examples)
        store.append("default", linear_examples())
        device = Device(state, orchestrator, store)
        assignment = orchestrator.assign()
        for call, fault in faults:
            orchestrator.fail(call, fault)
        while not _runs(device):
            pass
        assert_reported(device, orchestrator, assignment)
        store.close()


def _runs(device: Device) -> bool:
    try:
        return device.run_once().outcome is Outcome.COMPLETED
    except TransportError:
        return False
