"""Whole rounds over HTTP: what comes out equals numpy, and every way a round can end is taken once."""

from dataclasses import replace

import numpy as np
import pytest

from orchestrator.domain.blobs import BlobName, Room
from plans import bundle
from tests.orchestrator.device import Device, encoded, update_of
from tests.orchestrator.http import RefusedError
from tests.orchestrator.rows import CHECK_IN
from tests.orchestrator.serving import Population, until
from tests.plans.linear import PLAN, rows
from wire import tensors
from wire.errors import ErrorCode
from wire.messages import Assignment, Outcome, Report
from wire.operator_messages import RoundPolicy, TaskRequest
from wire.tensors import Array


def state_of(population: Population, task_id: str, round_number: int) -> dict[str, Array]:
    """The checkpoint after a round."""
    checkpoints = {kept.round_number: kept for kept in population.operator.checkpoints(task_id)}
    return tensors.decode(population.operator.resource(checkpoints[round_number].sha256))


def next_assignment(device: Device) -> Assignment:
    """The device's next assignment, as soon as a round wants it."""
    return until(lambda: device.check_in().assignment)


def test_a_round_of_training_equals_numpy_to_a_millionth(population: Population) -> None:
    """Two devices, one batch each: FedAvg is one step of gradient descent on all their examples."""
    task = population.push(rounds=1, cohort=2)
    x, y, losses = [], [], []
    for seed, device in enumerate(population.devices(2)):
        assignment, examples = device.work(), rows(4, seed)
        update, metrics = device.train(assignment, examples)
        device.finish(assignment, tensors.encode(update), metrics=dict(metrics))
        x.append(examples.x)
        y.append(examples.y)
        losses.append(examples.y.astype(np.float64) ** 2)
    population.task_in(task.task_id, "completed")
    error = -np.concatenate(y).astype(np.float64)  # the model begins at zero
    gradient = 2 * error @ np.concatenate(x) / 8
    state = state_of(population, task.task_id, 1)
    np.testing.assert_allclose(state["w"], -0.1 * gradient, atol=1e-6)
    np.testing.assert_allclose(state["b"], -0.1 * 2 * error.mean(), atol=1e-6)
    (round_,) = population.operator.rounds(task.task_id)
    assert round_.metrics == {"loss": pytest.approx(float(np.mean(losses)), rel=1e-6)}
    assert (round_.assigned, round_.reported, round_.state, round_.reads_round) == (2, 2, "completed", 0)


def test_updates_are_weighted_and_each_is_counted_once(population: Population) -> None:
    task = population.push(rounds=1, cohort=3)
    updates = [((8, 0), 4.0, 4.0), ((0, -6), 0.0, 1.0), ((0, 0), 0.0, 3.0)]
    for device, (w, b, weight) in zip(population.devices(3), updates, strict=True):
        assignment = device.work()
        device.upload(assignment, encoded((1e6, 1e6)))  # sent, and never reported
        data = encoded(w, b, weight)
        device.finish(assignment, data)
        device.report(assignment.assignment_id, device.completed(assignment, data))
    population.task_in(task.task_id, "completed")
    state = state_of(population, task.task_id, 1)
    np.testing.assert_allclose(state["w"], np.array([8, -6]) / 8, atol=1e-6)
    np.testing.assert_allclose(state["b"], 4 / 8, atol=1e-6)


def test_every_round_starts_from_the_last_checkpoint(population: Population) -> None:
    task = population.push(rounds=3, cohort=1)
    device = population.device()
    for round_number in (1, 2, 3):
        assignment = next_assignment(device)
        assert assignment.round_number == round_number
        broadcast = tensors.decode(device.fetch(assignment.broadcast))
        assert broadcast["b"] == round_number - 1
        device.finish(assignment, encoded((0, 0), 4, 4))
    ended = population.task_in(task.task_id, "completed")
    assert ended.rounds_completed == 3
    assert [kept.round_number for kept in population.operator.checkpoints(task.task_id)] == [0, 1, 2, 3]
    assert [round_.reads_round for round_ in population.operator.rounds(task.task_id)] == [0, 1, 2]
    assert device.check_in().assignment is None


def test_raw_updates_are_deleted_when_their_round_ends(garden: Population) -> None:
    task = garden.push(rounds=1, cohort=1)
    device = garden.device()
    device.finish(device.work(), encoded())
    garden.task_in(task.task_id, "completed")
    folder = garden.orchestrator.folder / "store" / "updates"
    until(lambda: list(folder.iterdir()) == [])


def test_an_evaluation_reads_every_checkpoint_once_and_in_order(population: Population) -> None:
    training = population.push(rounds=2, cohort=1)
    evaluation = population.evaluate(training.task_id, rounds=10, cohort=1, attributes={"place": "lab"})
    trainer = population.device()
    for b in (4, 8):
        trainer.finish(next_assignment(trainer), encoded((0, 0), b, 4))
    population.task_in(training.task_id, "completed")
    evaluator, seen = population.device(), []
    for _ in range(2):
        assignment = until(lambda: evaluator.check_in(replace(CHECK_IN, attributes={"place": "lab"})).assignment)
        assert (assignment.task_id, assignment.work) == (evaluation.task_id, "evaluate")
        broadcast = tensors.decode(evaluator.fetch(assignment.broadcast))
        assert broadcast.keys() == {"w", "b"}
        seen.append(float(broadcast["b"]))
        evaluator.finish(assignment, None, metrics={"loss_sum": 3.0, "loss_count": 2.0})
    assert seen == [1.0, 3.0]
    assert population.task_in(evaluation.task_id, "completed").rounds_completed == 2
    rounds = population.operator.rounds(evaluation.task_id)
    assert [(round_.reads_round, round_.metrics) for round_ in rounds] == [(1, {"loss": 1.5}), (2, {"loss": 1.5})]
    assert population.operator.checkpoints(evaluation.task_id) == ()


def test_an_evaluation_ends_with_the_task_it_reads(population: Population) -> None:
    training = population.push()
    evaluation = population.evaluate(training.task_id)
    population.operator.cancel(training.task_id)
    assert population.task_in(evaluation.task_id, "completed").rounds_completed == 0


def test_a_round_with_too_few_reports_is_abandoned_and_the_next_one_begins(population: Population) -> None:
    task = population.push(cohort=2, minimum_reports=2, selection_deadline_seconds=10, reporting_deadline_seconds=20)
    prompt, slow = population.devices(2)
    first, late = prompt.work(), slow.work()
    prompt.finish(first, encoded())
    population.orchestrator.clock.sleep(20)
    abandoned = population.round_in(task.task_id, 1, "abandoned")
    assert abandoned.reason == "1 devices reported in 20 s; 2 are needed"
    assert (abandoned.reported, abandoned.metrics) == (1, {})
    with pytest.raises(RefusedError) as refused:
        slow.report(late.assignment_id, slow.completed(late, encoded()))
    assert refused.value.code in (ErrorCode.ASSIGNMENT_CLOSED, ErrorCode.UPDATE_MISSING)
    following = population.round_in(task.task_id, 2, "selection")
    assert following.reads_round == 0
    assert [kept.round_number for kept in population.operator.checkpoints(task.task_id)] == [0]
    assert next_assignment(prompt).round_number == 2


def test_a_round_that_selects_too_few_is_abandoned(population: Population) -> None:
    task = population.push(cohort=3, minimum_reports=2, selection_deadline_seconds=10)
    population.device().work()
    population.orchestrator.clock.sleep(9)
    population.round_in(task.task_id, 1, "selection")
    population.orchestrator.clock.sleep(1)
    assert "1 devices were selected in 10 s" in population.round_in(task.task_id, 1, "abandoned").reason


def test_a_round_that_nobody_comes_to_waits(population: Population) -> None:
    task = population.push(cohort=1, selection_deadline_seconds=10)
    population.orchestrator.clock.sleep(1e6)
    device = population.device()
    assert device.work().round_number == 1
    population.round_in(task.task_id, 1, "reporting")


def test_the_minimum_of_reports_completes_a_round_at_its_deadline(population: Population) -> None:
    task = population.push(
        rounds=1, cohort=3, minimum_reports=1, selection_deadline_seconds=10, reporting_deadline_seconds=20
    )
    prompt, slow = population.devices(2)
    first, _ = prompt.work(), slow.work()
    population.orchestrator.clock.sleep(10)
    population.round_in(task.task_id, 1, "reporting")
    prompt.finish(first, encoded((0, 0), 8, 4))
    population.orchestrator.clock.sleep(20)
    assert population.task_in(task.task_id, "completed").rounds_completed == 1
    assert state_of(population, task.task_id, 1)["b"] == 2


def test_the_goal_of_reports_completes_a_round_at_once(population: Population) -> None:
    task = population.push(rounds=1, cohort=3, report_goal=2)
    devices = population.devices(3)
    assignments = [device.work() for device in devices]
    for device, assignment in zip(devices[:2], assignments[:2], strict=True):
        device.finish(assignment, encoded())
    population.task_in(task.task_id, "completed")
    answer = devices[2].put(assignments[2].assignment_id, encoded())
    assert answer.problem.code == ErrorCode.ASSIGNMENT_CLOSED


@pytest.mark.parametrize("outcome", [Outcome.DECLINED, Outcome.FAILED])
def test_a_device_that_declines_while_a_round_selects_gives_its_place_to_another(
    population: Population, outcome: Outcome
) -> None:
    task = population.push(rounds=1, cohort=2)
    one, two, three = population.devices(3)
    one.report(one.work().assignment_id, Report(outcome, reason="not now"))
    for device in (two, three):
        device.finish(device.work(), encoded())
    population.task_in(task.task_id, "completed")
    (round_,) = population.operator.rounds(task.task_id)
    assert (round_.assigned, round_.reported) == (3, 2)


@pytest.mark.parametrize("outcome", [Outcome.DECLINED, Outcome.FAILED])
def test_a_round_whose_devices_all_give_up_after_the_selection_is_abandoned_without_waiting(
    population: Population, outcome: Outcome
) -> None:
    task = population.push(cohort=2)
    devices = population.devices(2)
    for device, assignment in zip(devices, [device.work() for device in devices], strict=True):
        device.report(assignment.assignment_id, Report(outcome, reason="not now"))
    abandoned = population.round_in(task.task_id, 1, "abandoned")
    assert abandoned.reason == f"0 devices reported and no device is left; 2 are needed; {outcome.value}: not now"
    population.round_in(task.task_id, 2, "selection")


def test_devices_that_decline_do_not_stop_those_that_work(population: Population) -> None:
    task = population.push(rounds=1, cohort=3, minimum_reports=1)
    one, two, three = population.devices(3)
    assignments = [device.work() for device in (one, two, three)]
    one.report(assignments[0].assignment_id, Report(Outcome.DECLINED))
    two.report(assignments[1].assignment_id, Report(Outcome.FAILED))
    three.finish(assignments[2], encoded((0, 0), 4, 4))
    population.task_in(task.task_id, "completed")
    assert state_of(population, task.task_id, 1)["b"] == 1


def damage_first_update(population: Population, task_id: str, round_number: int, data: bytes | None) -> None:
    """Hold a round of two whose first accepted update is deleted, or overwritten, behind the server's back."""
    population.round_in(task_id, round_number, "selection")
    one, two = population.devices(2)
    first, second = one.work(), two.work()
    one.finish(first, encoded())
    store = population.orchestrator.folder / "store"
    path = store / "updates" / first.assignment_id / bundle.digest(encoded())
    if data is None:
        path.unlink()
    else:
        path.write_bytes(data)
    two.finish(second, encoded())


def test_an_accepted_update_that_is_gone_fails_the_round_and_the_third_time_the_task(population: Population) -> None:
    task = population.push(cohort=2)
    for round_number in (1, 2, 3):
        damage_first_update(population, task.task_id, round_number, None)
        failed = population.round_in(task.task_id, round_number, "failed")
        assert failed.reason.startswith("the sum or the new state could not be made: ")
        assert "No such file" in failed.reason
    ended = population.task_in(task.task_id, "failed")
    assert "No such file" in ended.failure
    assert [round_.state for round_ in population.operator.rounds(task.task_id)] == ["failed"] * 3
    assert [kept.round_number for kept in population.operator.checkpoints(task.task_id)] == [0]


@pytest.mark.parametrize("data", [b"", encoded()[:-4] + b"\0\0\0\0"], ids=["cut", "another weight"])
def test_an_accepted_update_that_changed_on_the_disk_never_enters_a_sum(population: Population, data: bytes) -> None:
    task = population.push(cohort=2)
    damage_first_update(population, task.task_id, 1, data)
    assert "changed on the disk" in population.round_in(task.task_id, 1, "failed").reason


def test_a_completed_round_between_failed_ones_keeps_the_task_running(population: Population) -> None:
    task = population.push(cohort=2)
    for round_number in (1, 2):
        damage_first_update(population, task.task_id, round_number, None)
    population.round_in(task.task_id, 3, "selection")
    for device in population.devices(2):
        device.finish(device.work(), encoded())
    population.round_in(task.task_id, 3, "completed")
    damage_first_update(population, task.task_id, 4, None)
    population.round_in(task.task_id, 4, "failed")
    population.round_in(task.task_id, 5, "selection")


def test_a_checkpoint_that_is_gone_fails_the_task_and_no_other(garden: Population) -> None:
    broken = garden.push(cohort=1)
    device = garden.device()
    device.finish(device.work(), encoded((3, 3), 3, 1))
    garden.round_in(broken.task_id, 2, "selection")
    sha256 = garden.operator.checkpoints(broken.task_id)[1].sha256
    garden.orchestrator.context.store.delete(BlobName(Room.BLOBS, sha256))
    device.finish(next_assignment(device), encoded())
    garden.round_in(broken.task_id, 2, "failed")
    ended = garden.task_in(broken.task_id, "failed")
    assert ended.failure.startswith("the broadcast of the next round could not be prepared: ")
    sound = garden.push(rounds=1, cohort=1)
    device.finish(next_assignment(device), encoded())
    garden.task_in(sound.task_id, "completed")


def test_metrics_that_no_float_holds_do_not_stop_a_round(population: Population) -> None:
    task = population.push(rounds=1, cohort=2)
    for device in population.devices(2):
        device.finish(device.work(), encoded(), metrics={"loss_sum": 1.7e308, "loss_count": 1.0})
    population.task_in(task.task_id, "completed")
    (round_,) = population.operator.rounds(task.task_id)
    assert round_.metrics == {}


def test_updates_at_the_limit_of_the_sum_are_counted_exactly(population: Population) -> None:
    task = population.push(rounds=1, cohort=2)
    largest = float(np.nextafter(np.float32(2.0**30), np.float32(0)))
    for device in population.devices(2):
        device.finish(device.work(), encoded((largest, -largest), 0, 1))
    population.task_in(task.task_id, "completed")
    np.testing.assert_allclose(state_of(population, task.task_id, 1)["w"], [largest, -largest], rtol=1e-6)


def test_a_diverged_state_fails_the_round(population: Population) -> None:
    initial = {**PLAN.initial, "server_learning_rate": np.array(np.nan, np.float32)}
    plan = bundle.pack(replace(PLAN, initial=initial))
    task = population.operator.push(TaskRequest("nan", population.name, policy=RoundPolicy(cohort=1)), plan=plan)
    device = population.device()
    device.finish(next_assignment(device), tensors.encode(update_of()))
    failed = population.round_in(task.task_id, 1, "failed")
    assert "update gave NaN or infinity" in failed.reason
