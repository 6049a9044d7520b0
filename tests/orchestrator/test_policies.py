"""Policies over the real service: whom rounds select, when tasks pause and end, what they keep."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from federated.cli.main import main
from orchestrator.db import queries
from orchestrator.domain import selection
from orchestrator.domain.pacing import Traffic
from tests.orchestrator.device import Device, encoded
from tests.orchestrator.rows import CHECK_IN
from tests.orchestrator.serving import Population, until
from wire.errors import ErrorCode, OperatorError
from wire.messages import Assignment, CheckIn, Outcome, Report
from wire.operator_messages import StopCondition, TaskView

EVALUATED = {"loss_sum": 3.0, "loss_count": 2.0}


def next_assignment(device: Device) -> Assignment:
    """The device's next assignment, as soon as a round wants it."""
    return until(lambda: device.check_in().assignment)


def train(device: Device, **changes: Any) -> None:
    """Take part in the next round."""
    device.finish(next_assignment(device), encoded((0, 0), 4, 4), **changes)


def running(interpreter: str, version: str, sdk_version: str = "0.1.0") -> CheckIn:
    runtime = replace(CHECK_IN.runtime, interpreter=interpreter, interpreter_version=version, sdk_version=sdk_version)
    return replace(CHECK_IN, runtime=runtime)


def test_only_runtimes_that_a_task_wants_are_selected(population: Population) -> None:
    population.push(cohort=1, interpreters={"ai-edge-litert": "2.3"}, minimum_sdk_version="0.1")
    device = population.device()
    for unfit in (("tflite-runtime", "2.14"), ("ai-edge-litert", "2.2.9"), ("ai-edge-litert", "2.3", "0.0.9")):
        assert device.check_in(running(*unfit)).assignment is None
    assert device.check_in(running("ai-edge-litert", "2.4.0")).assignment is not None


def test_a_device_rests_between_its_rounds(population: Population) -> None:
    task = population.push(rounds=4, cohort=1, minimum_rounds_between=2)
    one, two, three = population.devices(3)
    train(one)
    population.round_in(task.task_id, 2, "selection")
    assert one.check_in().assignment is None
    for device in (two, three, one):
        train(device)
    population.task_in(task.task_id, "completed")


def test_a_device_that_declined_need_not_rest(population: Population) -> None:
    task = population.push(cohort=1, minimum_rounds_between=9)
    device = population.device()
    device.report(device.work().assignment_id, Report(Outcome.DECLINED))
    population.round_in(task.task_id, 2, "selection")
    assert next_assignment(device).round_number == 2


def test_devices_that_are_set_aside_evaluate_and_never_train(population: Population) -> None:
    share = 0.4
    training = population.push(rounds=100, cohort=1, evaluation_share=share)
    population.evaluate(training.task_id, rounds=100, cohort=1, evaluation_share=share)
    devices = population.devices(12)
    worked: dict[str, set[str]] = {device.device_id: set() for device in devices}
    for _ in range(3):
        for device in devices:
            assignment = until_settled(device)
            if assignment is not None:
                worked[device.device_id].add(assignment.work)
                is_training = assignment.work == "train"
                data, metrics = (encoded(), {}) if is_training else (None, {"metrics": EVALUATED})
                device.finish(assignment, data, **metrics)
    for device_id, works in worked.items():
        allowed = "evaluate" if selection.draw_of(device_id) < share else "train"
        assert works <= {allowed}
    assert {"train"} in worked.values()


def until_settled(device: Device) -> Assignment | None:
    """The device's assignment, if some round comes to want it within a few check-ins."""
    return next((found for _ in range(5) if (found := device.check_in().assignment) is not None), None)


def test_an_evaluation_on_devices_that_are_trained_on_is_refused(population: Population) -> None:
    training = population.push(evaluation_share=0.1)
    with pytest.raises(OperatorError, match=r"share of 0\.2 of the devices.*sets 0\.1 aside") as refused:
        population.evaluate(training.task_id, evaluation_share=0.2)
    assert refused.value.code == ErrorCode.INVALID_REQUEST
    population.evaluate(training.task_id, evaluation_share=0.05)


def test_an_evaluation_may_read_every_second_checkpoint(population: Population) -> None:
    training = population.push(rounds=5, cohort=1)
    evaluation = population.evaluate(training.task_id, rounds=9, cohort=1, read_every=2)
    device = population.device()
    while population.operator.task(evaluation.task_id).state == "running":
        assignment = device.check_in().assignment
        if assignment is not None:
            is_training = assignment.task_id == training.task_id
            device.finish(assignment, encoded() if is_training else None, metrics=METRICS_OF[is_training])
    assert [round_.reads_round for round_ in population.operator.rounds(evaluation.task_id)] == [2, 4]
    assert population.operator.task(evaluation.task_id).completed_because == "the task that it reads has ended"


METRICS_OF = {True: {"loss_sum": 2.0, "loss_count": 4.0}, False: EVALUATED}


def test_a_paused_task_begins_nothing_and_finishes_what_has_begun(population: Population) -> None:
    task = population.push(rounds=2, cohort=2, minimum_reports=1, selection_deadline_seconds=10)
    one, two = population.devices(2)
    assignment = one.work()
    assert population.operator.pause(task.task_id).state == "paused"
    assert population.operator.pause(task.task_id).state == "paused"
    assert two.check_in().assignment is None
    one.finish(assignment, encoded())
    population.orchestrator.clock.sleep(10)
    population.round_in(task.task_id, 1, "completed")
    assert [round_.round_number for round_ in population.operator.rounds(task.task_id)] == [1]
    assert population.operator.resume(task.task_id).state == "running"
    population.round_in(task.task_id, 2, "selection")
    assert next_assignment(two).round_number == 2


def test_a_paused_task_is_cancelled(population: Population) -> None:
    task = population.push(cohort=1)
    population.operator.pause(task.task_id)
    assert population.operator.cancel(task.task_id).state == "cancelled"
    for change in (population.operator.pause, population.operator.resume):
        with pytest.raises(OperatorError, match="is cancelled; it has ended") as refused:
            change(task.task_id)
        assert refused.value.code == ErrorCode.CONFLICT


def test_an_evaluation_waits_for_a_paused_task(population: Population) -> None:
    training = population.push(rounds=1, cohort=1)
    evaluation = population.evaluate(training.task_id, cohort=1)
    population.operator.pause(training.task_id)
    population.orchestrator.clock.sleep(1000)
    population.operator.resume(training.task_id)
    device = population.device()
    train(device)
    device.finish(next_assignment(device), None, metrics=EVALUATED)
    assert population.task_in(evaluation.task_id, "completed").rounds_completed == 1


def test_a_task_stops_when_its_metric_is_good_enough_for_long_enough(population: Population) -> None:
    task = population.push(rounds=99, cohort=1, stop_when=StopCondition("loss", below=0.5, rounds=2))
    device = population.device()
    for loss in (0.4, 0.6, 0.4, 0.3):
        train(device, metrics={"loss_sum": loss, "loss_count": 1.0})
    ended = population.task_in(task.task_id, "completed")
    assert ended.rounds_completed == 4
    assert ended.completed_because == "loss was below 0.5 in 2 rounds running"


def test_a_tasks_last_round_says_why_it_is_complete(population: Population) -> None:
    task = population.push(rounds=1, cohort=1)
    train(population.device())
    assert population.task_in(task.task_id, "completed").completed_because == "1 rounds were completed"


def test_a_task_whose_time_is_over_begins_no_round(population: Population) -> None:
    task = population.push(cohort=1, time_limit_seconds=50)
    population.orchestrator.clock.sleep(50)
    ended = population.task_in(task.task_id, "completed")
    assert ended.completed_because == "its 50 s are over"
    (round_,) = population.operator.rounds(task.task_id)
    assert (round_.state, round_.reason) == ("cancelled", "the task's time is over")


def test_a_task_whose_time_is_over_finishes_the_round_that_has_devices(population: Population) -> None:
    task = population.push(cohort=1, time_limit_seconds=50)
    device = population.device()
    assignment = device.work()
    population.orchestrator.clock.sleep(60)
    device.finish(assignment, encoded((0, 0), 4, 4))
    assert population.task_in(task.task_id, "completed").rounds_completed == 1
    assert [kept.round_number for kept in population.operator.checkpoints(task.task_id)] == [0, 1]


def kept(population: Population, task: TaskView) -> list[int]:
    return [one.round_number for one in population.operator.checkpoints(task.task_id)]


def test_checkpoints_are_kept_as_the_policy_says(population: Population) -> None:
    task = population.push(rounds=7, cohort=1, keep_last=2, keep_every=3)
    device = population.device()
    train(device)
    population.round_in(task.task_id, 2, "selection")
    assert population.operator.label(task.task_id, 1, "first").labels == ("first",)
    for _ in range(6):
        train(device)
    population.task_in(task.task_id, "completed")
    assert kept(population, task) == [0, 1, 3, 6, 7]
    assert population.operator.checkpoints(task.task_id)[1].labels == ("first",)


def test_checkpoints_that_an_evaluation_has_not_read_are_kept(population: Population) -> None:
    task = population.push(rounds=3, cohort=1, keep_last=1)
    evaluation = population.evaluate(task.task_id, cohort=1, attributes={"for": "evaluation"})
    device = population.device()
    for _ in range(3):
        train(device)
    population.task_in(task.task_id, "completed")
    assert kept(population, task) == [1, 2, 3]
    evaluator, says = population.device(), replace(CHECK_IN, attributes={"for": "evaluation"})
    for _ in range(3):
        found = until(lambda: evaluator.check_in(says).assignment)
        evaluator.finish(found, None, metrics=EVALUATED)
    assert population.task_in(evaluation.task_id, "completed").rounds_completed == 3


def test_the_command_pauses_and_resumes(population: Population, capsys: pytest.CaptureFixture[str]) -> None:
    task, served = population.push(), population.orchestrator
    for action, printed in (("pause", "paused"), ("resume", "running")):
        assert main(["task", action, task.task_id, "--url", served.url, "--api-key", served.api_key]) == 0
        assert capsys.readouterr().out.strip() == printed


def test_a_round_whose_devices_all_declined_does_not_wait_where_nobody_else_is_there(population: Population) -> None:
    task = population.push(cohort=3, selection_deadline_seconds=1000)
    one, two = population.devices(2)
    for device in (one, two):
        device.report(device.work().assignment_id, Report(Outcome.DECLINED, reason="no examples"))
    abandoned = population.round_in(task.task_id, 1, "abandoned")
    assert abandoned.reason == (
        "2 devices were selected, all that are there, 2 of them gave up; 3 reports are needed; declined: no examples"
    )


def test_a_device_that_has_not_come_back_is_not_waited_for(population: Population) -> None:
    lost, one = population.devices(2)
    lost.check_in()
    task = population.push(cohort=3, selection_deadline_seconds=1000)
    population.orchestrator.clock.sleep(60)
    one.report(one.work().assignment_id, Report(Outcome.DECLINED))
    population.round_in(task.task_id, 1, "abandoned")


def test_a_round_goes_on_with_the_reports_of_all_that_are_there(population: Population) -> None:
    task = population.push(rounds=1, cohort=9, minimum_reports=2, selection_deadline_seconds=1000)
    for device in population.devices(2):
        train(device)
    assert population.task_in(task.task_id, "completed").rounds_completed == 1


def test_a_report_is_not_given_up_for_devices_that_are_not_there(population: Population) -> None:
    task = population.push(rounds=1, cohort=2, selection_deadline_seconds=1000)
    train(population.device())
    population.orchestrator.clock.sleep(900)
    train(population.device())
    assert population.task_in(task.task_id, "completed").rounds_completed == 1


def test_rounds_that_nobody_can_work_for_come_ever_more_slowly(population: Population) -> None:
    task = population.push(cohort=1, selection_deadline_seconds=60)
    device, clock = population.device(), population.orchestrator.clock
    began = []
    for number in range(1, 6):
        while (assignment := device.check_in().assignment) is None:
            clock.sleep(0.5)
        assert assignment.round_number == number
        began.append(population.round_in(task.task_id, number, "reporting").created_at)
        device.report(assignment.assignment_id, Report(Outcome.DECLINED))
    waits = [later - earlier for earlier, later in pairwise(began)]
    assert all(wait >= rest for wait, rest in zip(waits, (0, 1, 2, 4), strict=True))


def test_devices_of_a_large_population_are_told_to_come_less_often(population: Population) -> None:
    """The test is one device; the others are what the server remembers of them."""
    orchestrator, device = population.orchestrator, population.device()

    def remember(devices: float) -> None:
        traffic = Traffic(orchestrator.clock.now, 3600.0, devices, devices * 3600.0)
        orchestrator.context.database.submit(orchestrator.context.attendance.write).result()
        orchestrator.context.database.submit(lambda tx: queries.traffic.keep(tx, population.name, traffic)).result()

    for devices, usual in ((50, 5.0), (100_000, 1000.0), (10**8, 2400.0)):
        remember(devices)
        waits = [rejection.retry_after_seconds for _ in range(20) if (rejection := device.check_in().rejection)]
        assert all(0.49 * usual <= wait <= 1.51 * usual for wait in waits)
        assert max(waits) - min(waits) > usual / 4


def test_what_is_known_of_a_populations_devices_outlasts_a_restart(garden: Population) -> None:
    device = garden.device()
    for _ in range(30):
        device.check_in()
        garden.orchestrator.clock.sleep(5)
    garden.orchestrator.context.database.submit(garden.orchestrator.context.attendance.write).result()
    before = garden.orchestrator.context.database.read_now(lambda tx: queries.traffic.of_population(tx, "garden", 0.0))
    garden.orchestrator.restart()
    after = garden.orchestrator.context.database.read_now(lambda tx: queries.traffic.of_population(tx, "garden", 0.0))
    assert after == before
    assert after.devices == pytest.approx(1, rel=0.1)
