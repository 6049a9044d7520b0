"""What a device keeps between rounds: committed with the accepted report, and with nothing else."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from device_sdk import cli, files
from device_sdk.errors import RefusedError, TransportError
from device_sdk.journal import Journal
from device_sdk.kept import MOST_KEPT, Keeper, KeptStates, encode
from plans import bundle
from plans.manifest import Phase, Port
from tests.device_sdk.conftest import Device
from tests.device_sdk.memory_orchestrator import NOW, Fault, MemoryOrchestrator
from tests.device_sdk.test_nothing_leaks import traces
from tests.device_sdk.test_resuming import power_cut
from tests.golden.make_device_state import FIRST, LEDGER
from wire import routes, tensors
from wire.errors import ErrorCode
from wire.messages import Assignment, Outcome
from wire.tensors import TensorSpec

PLAN = bundle.unpack(LEDGER.read_bytes())
READINGS = np.array([1.5, 2.25, 3.0], np.float32)
SUM = float(READINGS.sum())


@pytest.fixture
def device(device: Device) -> Device:
    device.store.append("temperature", {"celsius": READINGS})
    return device


def assign(orchestrator: MemoryOrchestrator, series: str | None = None, **changes: Any) -> Assignment:
    """An assignment of the ledger, with some fields of the work changed."""
    work = replace(PLAN.manifest.work("ledger"), **changes)
    manifest = replace(PLAN.manifest, phases=(Phase({"ledger": work}),), series=series)
    return orchestrator.assign(
        work="ledger",
        plan=bundle.pack(replace(PLAN, manifest=manifest)),
        broadcast={"first": np.array(FIRST, np.float32)},
        upload=(tensors.encoded_size(work.update_specs),),
    )


def total(orchestrator: MemoryOrchestrator, assignment: Assignment) -> float:
    update = orchestrator.uploads[routes.update(assignment.assignment_id)]
    return float(tensors.decode(update)["total"])


def rounds(device: Device, orchestrator: MemoryOrchestrator, count: int) -> list[float]:
    """The totals of so many undisturbed rounds."""
    found = []
    for _ in range(count):
        assignment = assign(orchestrator)
        assert device.run_once().outcome is Outcome.COMPLETED
        found.append(total(orchestrator, assignment))
    return found


def test_a_round_goes_on_where_the_last_one_ended(device: Device, orchestrator: MemoryOrchestrator) -> None:
    assert rounds(device, orchestrator, 3) == [FIRST + SUM, FIRST + 2 * SUM, FIRST + 3 * SUM]


FAULTS = [(call, fault) for call in ("challenge", "upload", "report") for fault in Fault]


@pytest.mark.parametrize(("call", "fault"), FAULTS)
def test_a_device_cut_anywhere_counts_every_round_once(
    device: Device, orchestrator: MemoryOrchestrator, call: str, fault: Fault
) -> None:
    rounds(device, orchestrator, 1)
    assignment = assign(orchestrator)
    orchestrator.fail(call, fault)
    with pytest.raises(TransportError):
        device.run_once()
    assert device.run_once().outcome is Outcome.COMPLETED
    assert total(orchestrator, assignment) == FIRST + 2 * SUM
    assert rounds(device, orchestrator, 1) == [FIRST + 3 * SUM]


def test_a_cut_between_the_commit_and_the_end_of_the_journal_commits_once(
    device: Device, orchestrator: MemoryOrchestrator
) -> None:
    rounds(device, orchestrator, 1)
    assign(orchestrator)
    orchestrator.fail("report", Fault.LOST)
    with pytest.raises(TransportError):
        device.run_once()
    entry = Journal(device.state).read()
    assert entry is not None
    KeptStates(device.state).commit(entry.kept_sha256)
    assert device.run_once().outcome is Outcome.COMPLETED
    assert rounds(device, orchestrator, 1) == [FIRST + 3 * SUM]


def test_a_cut_while_it_trains_keeps_what_was_there(device: Device, orchestrator: MemoryOrchestrator) -> None:
    rounds(device, orchestrator, 1)
    assignment = assign(orchestrator)
    device.on_step = power_cut
    with pytest.raises(KeyboardInterrupt):
        device.run_once()
    device.on_step = lambda done, total: None
    assert device.run_once().outcome is Outcome.COMPLETED
    assert total(orchestrator, assignment) == FIRST + 2 * SUM


@pytest.mark.parametrize("code", [ErrorCode.ASSIGNMENT_CLOSED, ErrorCode.OUT_OF_RANGE])
def test_state_whose_report_is_refused_is_forgotten(
    device: Device, orchestrator: MemoryOrchestrator, code: ErrorCode
) -> None:
    rounds(device, orchestrator, 1)
    assign(orchestrator)
    orchestrator.fail("report", RefusedError(code, 409, "no"))
    device.run_once()
    assert device.is_idle
    assert not device.state.kept_next.exists()
    assert rounds(device, orchestrator, 1) == [FIRST + 2 * SUM]


def test_state_that_is_not_finite_fails_the_work(device: Device, orchestrator: MemoryOrchestrator) -> None:
    device.store.append("temperature", {"celsius": np.array([np.inf], np.float32)})
    assignment = assign(orchestrator)
    assert device.run_once().outcome is Outcome.FAILED
    assert "is not finite" in orchestrator.reports[assignment.assignment_id].reason
    assert not list(KeptStates(device.state).list())


def test_a_damaged_state_that_waits_is_not_committed(device: Device, orchestrator: MemoryOrchestrator) -> None:
    rounds(device, orchestrator, 1)
    assign(orchestrator)
    orchestrator.fail("report", Fault.CUT)
    with pytest.raises(TransportError):
        device.run_once()
    device.state.kept_next.write_bytes(b"damaged")
    assert device.run_once().outcome is Outcome.COMPLETED
    assert rounds(device, orchestrator, 1) == [FIRST + 2 * SUM]


def test_other_specs_begin_anew(device: Device, orchestrator: MemoryOrchestrator) -> None:
    rounds(device, orchestrator, 1)
    (keeper, _), states = next(KeptStates(device.state).list()), KeptStates(device.state)
    kept = states.read(keeper, {"seen": TensorSpec("float32", ())})
    assert kept is not None
    assert kept["seen"] == FIRST + SUM
    assert states.read(keeper, {"seen": TensorSpec("float32", (2,))}) is None
    assert states.read(keeper, {"other": TensorSpec("float32", ())}) is None


def test_a_damaged_state_begins_anew(device: Device, orchestrator: MemoryOrchestrator) -> None:
    rounds(device, orchestrator, 1)
    (path,) = device.state.kept.iterdir()
    path.write_bytes(path.read_bytes()[:-3])
    assert rounds(device, orchestrator, 1) == [FIRST + SUM]


def test_every_task_has_its_own_state_unless_they_are_of_one_series(tmp_path: Path) -> None:
    keeper = Keeper("task-1", "digits", None, "train", 1, int(NOW))
    others = [replace(keeper, task_id="task-2"), replace(keeper, work="evaluate"), replace(keeper, series="task-1")]
    assert len({one.file_name for one in (keeper, *others)}) == 4
    series = replace(keeper, series="digits")
    assert series.file_name == replace(series, task_id="task-2", round_number=7).file_name


def test_a_series_of_tasks_shares_its_state(device: Device, orchestrator: MemoryOrchestrator) -> None:
    totals = []
    for task_id in ("task-1", "task-2", "task-3"):
        assignment = assign(orchestrator, series="ledgers")
        signed = orchestrator.signed(
            orchestrator.resources[assignment.plan.resource.sha256], orchestrator.plan_key, task_id=task_id
        )
        assignment = replace(assignment, task_id=task_id, plan=signed)
        orchestrator.waiting[:] = [assignment]
        assert device.run_once().outcome is Outcome.COMPLETED
        totals.append(total(orchestrator, assignment))
    assert totals == [FIRST + SUM, FIRST + 2 * SUM, FIRST + 3 * SUM]


def test_state_goes_when_its_plan_has_expired(device: Device, orchestrator: MemoryOrchestrator) -> None:
    rounds(device, orchestrator, 1)
    states = KeptStates(device.state)
    ((keeper, _),) = states.list()
    states.prune(keeper.expires - 1.0)
    assert len(list(states.list())) == 1
    states.prune(float(keeper.expires))
    assert not list(states.list())


def test_no_more_states_are_kept_than_there_is_room_for(device: Device) -> None:
    states = KeptStates(device.state)
    keeper = Keeper("task", "digits", None, "train", 1, int(NOW))
    for number in range(MOST_KEPT + 1):
        data = encode(replace(keeper, task_id=f"task-{number}"), {"seen": np.zeros(1, np.float32)})
        files.write_durably(device.state.kept_next, data)
        states.commit(bundle.digest(data))
    states.prune(0.0)
    left = {one.task_id for one, _ in states.list()}
    assert len(left) == MOST_KEPT
    assert "task-0" not in left


def test_what_is_kept_is_never_sent(device: Device, orchestrator: MemoryOrchestrator) -> None:
    """The ledger sends what it keeps, as its update; here the work is told to send nothing."""
    keeping = {"seen": Port(TensorSpec("float32", ()), TensorSpec("float32", (1,)))}
    assign(orchestrator, update={}, aggregation=(), update_state=None, result={}, device_state=keeping)
    assert device.run_once().outcome is Outcome.COMPLETED
    kept = traces(np.array([FIRST + SUM], np.float32))
    assert [trace for trace in kept if trace in b"".join(path.read_bytes() for path in device.state.kept.iterdir())]
    assert not [trace for trace in kept if trace in b"\n".join(orchestrator.sent)]


def test_the_status_says_what_is_kept_and_it_can_be_forgotten(
    device: Device, orchestrator: MemoryOrchestrator, capsys: pytest.CaptureFixture[str]
) -> None:
    rounds(device, orchestrator, 2)
    folder = ["--state-dir", str(device.state.path)]
    size = next(device.state.kept.iterdir()).stat().st_size
    assert cli.main(["status", *folder]) == 0
    assert f"keeps       {size} bytes since round 2 of task digits (ledger)" in capsys.readouterr().out
    assert cli.main(["status", "--json", *folder]) == 0
    said = json.loads(capsys.readouterr().out)["kept"]
    assert said == [{"task_name": "digits", "work": "ledger", "round_number": 2, "size_bytes": size}]
    assert cli.main(["forget", *folder]) == 0
    assert "forgot 1 states" in capsys.readouterr().out
    assert rounds(device, orchestrator, 1) == [FIRST + SUM]


def test_what_is_forgotten_while_its_report_waits_stays_forgotten(
    device: Device, orchestrator: MemoryOrchestrator
) -> None:
    assign(orchestrator)
    orchestrator.fail("report", Fault.LOST)
    with pytest.raises(TransportError):
        device.run_once()
    KeptStates(device.state).wipe()
    assert device.run_once().outcome is Outcome.COMPLETED
    assert rounds(device, orchestrator, 1) == [FIRST + SUM]


def test_only_the_owner_may_read_it(device: Device, orchestrator: MemoryOrchestrator) -> None:
    rounds(device, orchestrator, 1)
    assert device.state.kept.stat().st_mode & 0o077 == 0
    assert next(device.state.kept.iterdir()).stat().st_mode & 0o077 == 0


def test_a_work_that_keeps_nothing_writes_nothing(device: Device, orchestrator: MemoryOrchestrator) -> None:
    orchestrator.assign()
    assert device.run_once().outcome is Outcome.COMPLETED
    assert not device.state.kept.exists()
