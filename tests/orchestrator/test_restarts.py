"""A server that is killed goes on with its rounds as they are, and counts every accepted update once.

Each test takes what is on the disk at one moment, as a kill would leave it, and lets a second orchestrator go on from
there; the first one goes on too, undisturbed. Both must come to the same checkpoint, bit for bit.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.orchestrator.device import Device, encoded
from tests.orchestrator.serving import Orchestrator, Population, until
from wire.messages import Assignment

UPDATES = [encoded((1, 2), 3, 4), encoded((0.1, 0.2), 0.3, 0.7), encoded((-5, 1e-6), 7, 2)]


class TwoFates:
    """A round of three on one orchestrator, which may be killed at any moment and go on as another."""

    def __init__(self, first: Orchestrator, folder: Path) -> None:
        self.first = first
        self.population = first.population("garden")
        self.task_id = self.population.push(rounds=1, cohort=3).task_id
        self.devices = self.population.devices(3)
        self._folder = folder

    def kill(self) -> Orchestrator:
        """What goes on from the disk as it is now."""
        second = self.first.copy_as_if_killed(self._folder)
        second.start()
        return second

    def devices_on(self, orchestrator: Orchestrator) -> list[Device]:
        return [device.moved_to(orchestrator.url, orchestrator.connections) for device in self.devices]

    def checkpoint_on(self, orchestrator: Orchestrator) -> str:
        """The digest of the checkpoint after the round."""
        population = Population(orchestrator, "garden")
        population.task_in(self.task_id, "completed")
        (round_,) = orchestrator.operator.rounds(self.task_id)
        assert (round_.state, round_.reported) == ("completed", 3)
        return orchestrator.operator.checkpoints(self.task_id)[1].sha256


@pytest.fixture
def fates(own: Orchestrator, tmp_path: Path) -> TwoFates:
    return TwoFates(own, tmp_path / "killed")


@pytest.fixture
def killed(fates: TwoFates) -> Iterator[Callable[[], Orchestrator]]:
    """Kill the orchestrator now; what goes on is stopped at the end."""
    started: list[Orchestrator] = []

    def kill() -> Orchestrator:
        started.append(fates.kill())
        return started[0]

    yield kill
    for orchestrator in started:
        orchestrator.stop()


def finish(devices: list[Device], assignments: list[Assignment], indices: range) -> None:
    for index in indices:
        devices[index].finish(assignments[index], UPDATES[index])


def test_a_round_goes_on_that_was_killed_in_its_selection(fates: TwoFates, killed: Callable[[], Orchestrator]) -> None:
    early = fates.devices[0].work()
    fates.devices[0].finish(early, UPDATES[0])
    second = killed()
    for orchestrator in (fates.first, second):
        devices = fates.devices_on(orchestrator)
        for index in (1, 2):
            devices[index].finish(devices[index].work(), UPDATES[index])
    assert fates.checkpoint_on(fates.first) == fates.checkpoint_on(second)


def test_a_round_goes_on_that_was_killed_in_its_reporting(fates: TwoFates, killed: Callable[[], Orchestrator]) -> None:
    assignments = [device.work() for device in fates.devices]
    fates.population.round_in(fates.task_id, 1, "reporting")
    finish(fates.devices, assignments, range(1))
    fates.devices[1].upload(assignments[1], UPDATES[1])
    second = killed()
    for orchestrator in (fates.first, second):
        devices = fates.devices_on(orchestrator)
        assert devices[1].work().assignment_id == assignments[1].assignment_id
        devices[0].report(assignments[0].assignment_id, devices[0].completed(assignments[0], UPDATES[0]))
        devices[1].report(assignments[1].assignment_id, devices[1].completed(assignments[1], UPDATES[1]))
        finish(devices, assignments, range(2, 3))
    assert fates.checkpoint_on(fates.first) == fates.checkpoint_on(second)


def test_a_round_goes_on_that_was_killed_in_its_aggregation(
    fates: TwoFates, killed: Callable[[], Orchestrator]
) -> None:
    fates.first.restart(worker=False)
    devices = fates.devices_on(fates.first)
    finish(devices, [device.work() for device in devices], range(3))
    fates.population.round_in(fates.task_id, 1, "aggregation")
    second = killed()
    fates.first.restart()
    assert fates.checkpoint_on(fates.first) == fates.checkpoint_on(second)


def test_the_order_of_the_reports_changes_no_bit_of_the_checkpoint(
    fates: TwoFates, killed: Callable[[], Orchestrator]
) -> None:
    assignments = [device.work() for device in fates.devices]
    second = killed()
    for orchestrator, order in ((fates.first, (0, 1, 2)), (second, (2, 0, 1))):
        devices = fates.devices_on(orchestrator)
        for index in order:
            devices[index].finish(assignments[index], UPDATES[index])
    assert fates.checkpoint_on(fates.first) == fates.checkpoint_on(second)


def test_a_round_whose_deadline_passed_while_nothing_ran_ends_at_once(fates: TwoFates) -> None:
    for device in fates.devices:
        device.work()
    fates.first.stop()
    fates.first.clock.sleep(1e6)
    fates.first.start()
    fates.population.round_in(fates.task_id, 1, "abandoned")
    fates.population.round_in(fates.task_id, 2, "selection")


def test_a_completed_round_never_changes(fates: TwoFates, killed: Callable[[], Orchestrator]) -> None:
    finish(fates.devices, [device.work() for device in fates.devices], range(3))
    checkpoint = fates.checkpoint_on(fates.first)
    rounds = fates.first.operator.rounds(fates.task_id)
    state = fates.first.operator.resource(checkpoint)
    second = killed()
    assert fates.checkpoint_on(second) == checkpoint
    assert second.operator.rounds(fates.task_id) == rounds
    assert second.operator.resource(checkpoint) == state


def test_updates_that_a_killed_server_left_behind_are_deleted(own: Orchestrator) -> None:
    left = own.folder / "store" / "updates" / "an-assignment-of-an-ended-round"
    own.stop()
    left.mkdir()
    (left / ".new-half").write_bytes(b"half")
    own.start()
    until(lambda: not left.exists())
