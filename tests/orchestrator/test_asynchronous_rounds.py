"""Rounds whose devices come and go: who is slow reports in a later round, and counts less there."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.golden.make_analytics import HEADCOUNT
from tests.golden.make_plans import LINEAR
from tests.orchestrator.device import Device, encoded
from tests.orchestrator.http import RefusedError
from tests.orchestrator.serving import Population, until
from tests.orchestrator.test_collecting import collect, is_kept
from tests.orchestrator.test_holding_rounds import next_assignment, state_of
from wire import tensors
from wire.errors import ErrorCode
from wire.operator_messages import RoundPolicy, TaskRequest


def held_by(population: Population, task_id: str, round_number: int, workers: Sequence[Device], **update: Any) -> None:
    """A round to whose end these devices come, each with the same update."""
    assignments = [next_assignment(device) for device in workers]
    assert {assignment.round_number for assignment in assignments} == {round_number}
    for device, assignment in zip(workers, assignments, strict=True):
        device.finish(assignment, encoded(**update))
    population.round_in(task_id, round_number, "completed")


def test_a_slow_devices_report_of_round_1_counts_in_round_3_by_one_over_the_root_of_three(
    population: Population,
) -> None:
    task = population.push(rounds=3, cohort=2, concurrency=3)
    slow, one, two = population.devices(3)
    begun = slow.work()
    assert begun.deadline_seconds == 600
    for round_number in (1, 2):
        held_by(population, task.task_id, round_number, (one, two))
    assert slow.work() == begun  # it is still at work, whatever became of its round
    late = encoded((8, -4), 12, 3)
    assert slow.finish(begun, late) == slow.report(begun.assignment_id, slow.completed(begun, late))
    fresh = next_assignment(one)
    assert (begun.round_number, fresh.round_number) == (1, 3)
    one.finish(fresh, encoded((1, 2), 3, 5))
    population.task_in(task.task_id, "completed")

    before, after = (state_of(population, task.task_id, round_number) for round_number in (2, 3))
    weight = 1 / np.sqrt(3)
    np.testing.assert_allclose(after["w"] - before["w"], (np.array([1, 2]) + weight * np.array([8, -4])) / 8, atol=1e-6)
    np.testing.assert_allclose(after["b"] - before["b"], (3 + weight * 12) / 8, atol=1e-6)
    third = population.round_in(task.task_id, 3, "completed")
    assert third.metrics == {"loss": 0.5, "staleness": 1.0, "staleness_max": 2.0}
    first = population.round_in(task.task_id, 1, "completed")
    assert (first.metrics["staleness"], first.reported, first.assigned) == (0.0, 2, 3)


def test_only_so_many_are_at_work_and_a_report_makes_room(population: Population) -> None:
    population.push(cohort=3, concurrency=2)
    one, two, three = population.devices(3)
    first = one.work()
    two.work()
    assert three.check_in().rejection is not None
    one.finish(first, encoded())
    assert three.work().round_number == 1
    assert one.check_in().rejection is not None  # a round counts a device once


def test_a_device_that_is_not_heard_of_loses_its_place_at_its_own_deadline(population: Population) -> None:
    task = population.push(cohort=2, concurrency=1, reporting_deadline_seconds=30)
    lost, other = population.devices(2)
    begun = lost.work()
    assert other.check_in().rejection is not None
    population.orchestrator.clock.sleep(30)
    until(lambda: other.check_in().assignment)
    with pytest.raises(RefusedError) as refused:
        lost.finish(begun, encoded())
    assert refused.value.code == ErrorCode.ASSIGNMENT_CLOSED
    assert population.round_in(task.task_id, 1, "selection").reported == 0


def test_what_a_slow_device_fetches_stays_when_its_round_has_ended(garden: Population) -> None:
    own = garden.orchestrator
    task = garden.push(rounds=5, cohort=1, concurrency=2, reporting_deadline_seconds=1e6)
    slow, prompt = garden.devices(2)
    begun = slow.work()
    held_by(garden, task.task_id, 1, [prompt])
    garden.round_in(task.task_id, 2, "selection")
    own.clock.sleep(2 * own.context.settings.grace_seconds)
    collect(own)
    assert is_kept(own, begun.broadcast.sha256)
    slow.open_session()
    assert tensors.decode(slow.fetch(begun.broadcast))["b"] == 0
    slow.finish(begun, encoded())
    garden.round_in(task.task_id, 2, "completed")
    collect(own)
    assert not is_kept(own, begun.broadcast.sha256)


def test_a_task_whose_late_updates_would_mean_nothing_is_refused(population: Population) -> None:
    policy = RoundPolicy(concurrency=9)
    training = population.push()
    asked = {
        "found one for analytics": (TaskRequest("headcount", population.name, policy=policy), HEADCOUNT.read_bytes()),
        "found one for evaluate": (
            TaskRequest("evaluation", population.name, policy=policy, reads=training.task_id),
            LINEAR.read_bytes(),
        ),
    }
    for words, (request, plan) in asked.items():
        with pytest.raises(Exception, match=words) as refused:
            population.operator.push(request, plan=plan)
        assert "leave `concurrency` out" in str(refused.value)
