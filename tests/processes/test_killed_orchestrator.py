"""`kill -9` of the orchestrator in every phase of a round: it goes on, and every accepted update is counted once."""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from device_sdk import identity
from device_sdk.examples import ExampleStore
from device_sdk.http import HttpTransport
from device_sdk.offer import offer
from device_sdk.session import DeviceSession
from device_sdk.state_dir import StateDir
from plans import bundle, client, server
from plans.accumulators.work import WorkAccumulator
from plans.program import Program
from tests.golden.make_plans import LINEAR
from tests.processes.federation import Device, Federation, linear_examples, wait_for
from wire import tensors
from wire.operator_messages import RoundPolicy, TaskRequest, TaskView
from wire.tensors import Array

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

DEVICES = 3


def test_it_goes_on_when_it_was_killed_before_anybody_checked_in(federation: Federation) -> None:
    task, devices = _begun(federation)
    _restart(federation, task, "selection")
    _report_from(devices)
    _check_counted_once(federation, task)


def test_it_goes_on_when_it_was_killed_while_it_selected(federation: Federation) -> None:
    task, devices = _begun(federation)
    _report_from(devices[:2])
    _restart(federation, task, "selection")
    _report_from(devices[2:])
    _check_counted_once(federation, task)


def test_it_goes_on_when_it_was_killed_while_it_waited_for_reports(federation: Federation) -> None:
    task, devices = _begun(federation)
    _report_from(devices[:2])
    _select_and_fall_silent(federation, devices[2])
    _restart(federation, task, "reporting")
    _report_from(devices[2:])  # the same assignment again
    _check_counted_once(federation, task)


def test_it_goes_on_when_it_was_killed_while_it_aggregated(federation: Federation) -> None:
    task, devices = _begun(federation)
    _report_from(devices[:2])
    accepted, kept = _blocked_update(federation)
    _report_from(devices[2:])
    wait_for(lambda: federation.rounds(task)[0].state == "aggregation")
    federation.kill_server()
    kept.replace(accepted)
    federation.start_server()
    _check_counted_once(federation, task)


def test_it_goes_on_when_it_was_killed_between_two_rounds(federation: Federation) -> None:
    task, devices = _begun(federation)
    _report_from(devices)
    wait_for(lambda: federation.rounds(task)[0].state == "completed")
    federation.kill_server()
    federation.start_server()
    wait_for(lambda: len(federation.rounds(task)) > 1)
    _check_counted_once(federation, task)


def test_it_completes_the_task_when_it_is_killed_again_and_again(federation: Federation) -> None:
    task = _push(federation, rounds=6)
    devices = [federation.enrol(f"device-{seed}", linear_examples(seed)) for seed in range(DEVICES)]
    for device in devices:
        federation.start_device(device)
    for completed in range(1, 6):
        wait_for(lambda completed=completed: _completed(federation, task) >= completed)  # type: ignore[misc]
        federation.kill_server()
        federation.start_server()
    assert federation.wait_for_end(task).state == "completed"
    assert [kept.round_number for kept in federation.client.checkpoints(task.task_id)] == list(range(7))
    assert all(round_.reported == DEVICES for round_ in federation.rounds(task))


def _begun(federation: Federation) -> tuple[TaskView, list[Device]]:
    """A task whose first round waits for devices, and the devices."""
    devices = [federation.enrol(f"device-{seed}", linear_examples(seed)) for seed in range(DEVICES)]
    task = _push(federation, rounds=2)
    wait_for(lambda: federation.rounds(task))
    return task, devices


def _push(federation: Federation, rounds: int) -> TaskView:
    return federation.client.push(
        TaskRequest("linear", policy=RoundPolicy(rounds=rounds, cohort=DEVICES)), plan=LINEAR.read_bytes()
    )


def _completed(federation: Federation, task: TaskView) -> int:
    return federation.client.task(task.task_id).rounds_completed


def _restart(federation: Federation, task: TaskView, state: str) -> None:
    assert federation.rounds(task)[0].state == state
    federation.kill_server()
    federation.start_server()
    assert federation.rounds(task)[0].state == state


def _report_from(devices: list[Device]) -> None:
    for device in devices:
        assert "reported round 1" in device.run("once")


def _select_and_fall_silent(federation: Federation, device: Device) -> None:
    """Check a device in as its agent does, and lose its power with the answer on the way."""
    who = identity.load(StateDir(federation.folder / device.name))
    transport = HttpTransport(federation.url)
    with closing(ExampleStore(StateDir(federation.folder / device.name).examples)) as store:
        message = offer(store, {})
    reply = DeviceSession(who, transport).call(lambda token: transport.check_in(token, message))
    assert reply.assignment is not None


def _blocked_update(federation: Federation) -> tuple[Path, Path]:
    """Put a pipe that nobody writes to in the place of an accepted update, so that the sum waits for it."""
    accepted = next((federation.folder / "server" / "store" / "updates").glob("*/*"))
    kept = federation.folder / "accepted-update"
    accepted.rename(kept)
    os.mkfifo(accepted)
    return accepted, kept


def _check_counted_once(federation: Federation, task: TaskView) -> None:
    """The first round's checkpoint is, to the last bit, the sum over one update of each device."""
    wait_for(lambda: federation.rounds(task)[0].state == "completed")
    first = federation.rounds(task)[0]
    assert (first.assigned, first.reported) == (DEVICES, DEVICES)
    checkpoint = federation.client.checkpoints(task.task_id)[1]
    assert federation.client.resource(checkpoint.sha256) == tensors.encode(_expected_state(federation))
    with closing(sqlite3.connect(federation.folder / "server" / "fedelta.db")) as database:
        counts = database.execute("SELECT count(*) FROM assignments GROUP BY round_id, device_id").fetchall()
    assert counts == [(1,)] * DEVICES


def _expected_state(federation: Federation) -> dict[str, Array]:
    """The state after one round, worked out here from the same examples."""
    plan = bundle.unpack(LINEAR.read_bytes())
    work = plan.manifest.work("train")
    program, server_program = Program(plan.client), Program(plan.server)
    broadcast = server.prepare(server_program, plan.manifest, work, plan.initial).broadcast
    total = WorkAccumulator(work, DEVICES)
    for seed in range(DEVICES):
        examples = {"default": _Examples(linear_examples(seed))}
        total.accumulate(client.run(program, work, broadcast, examples, seed=0).update)
    return server.update(server_program, plan.manifest, work, plan.initial, total.finalize()).state


class _Examples:
    """A device's examples, in memory."""

    def __init__(self, fields: dict[str, Array]) -> None:
        self._fields = fields

    def __len__(self) -> int:
        return len(next(iter(self._fields.values())))

    def read(self, indices: Sequence[int]) -> dict[str, Array]:
        return {name: np.ascontiguousarray(values[indices]) for name, values in self._fields.items()}
