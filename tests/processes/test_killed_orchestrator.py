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
from plans import client, server
from plans.accumulators.work import WorkAccumulator
from plans.program import Program
from tests.golden.make_plans import LINEAR
from tests.plans.linear import PLAN, TRAIN
from tests.processes.federation import Device, Federation, linear_examples, wait_for
from wire import tensors
from wire.operator_messages import RoundPolicy, TaskRequest, TaskView
from wire.tensors import Array, Tensors

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

DEVICES = 3
CLIENT, SERVER = Program(PLAN.client), Program(PLAN.server)


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


def test_a_slow_devices_update_counts_two_rounds_later_whatever_was_killed_in_between(federation: Federation) -> None:
    policy = RoundPolicy(rounds=3, cohort=2, concurrency=3)
    task, (one, two, slow) = _begun(federation, policy)
    _select_and_fall_silent(federation, slow)
    states = [PLAN.initial]
    for number in (1, 2):
        _report_from([one, two], number)
        wait_for(lambda number=number: _completed(federation, task) == number)  # type: ignore[misc]
        federation.kill_server()
        federation.start_server()
        wait_for(lambda number=number: len(federation.rounds(task)) > number)  # type: ignore[misc]
        states.append(_after(states[-1], [_update(states[-1], seed) for seed in (0, 1)]))
    _report_from([slow], 1)
    _report_from([one], 3)
    assert federation.wait_for_end(task).state == "completed"
    late = _update(states[0], 2)
    late |= {name: late[name] * np.float32(3**-0.5) for name in ("w", "b")}
    states.append(_after(states[-1], [_update(states[-1], 0), late]))
    kept = [federation.client.resource(one.sha256) for one in federation.client.checkpoints(task.task_id)]
    assert kept == [tensors.encode(state) for state in states]
    metrics = [round_.metrics for round_ in federation.rounds(task)]
    assert [(one["staleness"], one["staleness_max"]) for one in metrics] == [(0, 0), (0, 0), (1, 2)]


def test_it_completes_the_task_when_it_is_killed_again_and_again(federation: Federation) -> None:
    task = _push(federation, RoundPolicy(rounds=6, cohort=DEVICES))
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


def _begun(federation: Federation, policy: RoundPolicy | None = None) -> tuple[TaskView, list[Device]]:
    """A task whose first round waits for devices, and the devices."""
    devices = [federation.enrol(f"device-{seed}", linear_examples(seed)) for seed in range(DEVICES)]
    task = _push(federation, policy or RoundPolicy(rounds=2, cohort=DEVICES))
    wait_for(lambda: federation.rounds(task))
    return task, devices


def _push(federation: Federation, policy: RoundPolicy) -> TaskView:
    return federation.client.push(TaskRequest("linear", policy=policy), plan=LINEAR.read_bytes())


def _completed(federation: Federation, task: TaskView) -> int:
    return federation.client.task(task.task_id).rounds_completed


def _restart(federation: Federation, task: TaskView, state: str) -> None:
    assert federation.rounds(task)[0].state == state
    federation.kill_server()
    federation.start_server()
    assert federation.rounds(task)[0].state == state


def _report_from(devices: list[Device], round_number: int = 1) -> None:
    for device in devices:
        assert f"reported round {round_number}" in device.run("once")


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
    assert federation.client.resource(checkpoint.sha256) == tensors.encode(_expected_state())
    with closing(sqlite3.connect(federation.folder / "server" / "fedelta.db")) as database:
        counts = database.execute("SELECT count(*) FROM assignments GROUP BY round_id, device_id").fetchall()
    assert counts == [(1,)] * DEVICES


def _expected_state() -> dict[str, Array]:
    """The state after one round, worked out here from the same examples."""
    return _after(PLAN.initial, [_update(PLAN.initial, seed) for seed in range(DEVICES)])


def _update(state: Tensors, seed: int) -> dict[str, Array]:
    """What a device makes of a state's broadcast."""
    broadcast = server.prepare(SERVER, PLAN.manifest, TRAIN, state).broadcast
    return client.run(CLIENT, TRAIN, broadcast, {"default": _Examples(linear_examples(seed))}, seed=0).update


def _after(state: Tensors, updates: Sequence[Tensors]) -> dict[str, Array]:
    """The state after a round that counts these updates."""
    total = WorkAccumulator(TRAIN, len(updates))
    for update in updates:
        total.accumulate(update)
    return server.update(SERVER, PLAN.manifest, TRAIN, state, total.finalize()).state


class _Examples:
    """A device's examples, in memory."""

    def __init__(self, fields: dict[str, Array]) -> None:
        self._fields = fields

    def __len__(self) -> int:
        return len(next(iter(self._fields.values())))

    def read(self, indices: Sequence[int]) -> dict[str, Array]:
        return {name: np.ascontiguousarray(values[indices]) for name, values in self._fields.items()}
