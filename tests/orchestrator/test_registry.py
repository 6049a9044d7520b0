"""Checkpoints labelled, compared, gone back to, started from, and released to devices."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from device_sdk import identity
from device_sdk.enrolment import enrol
from device_sdk.http import HttpTransport
from device_sdk.models import fetch_model
from device_sdk.state_dir import StateDir
from federated.cli.main import main
from plans import bundle, inference
from tests.golden.make_plans import LINEAR
from tests.orchestrator.device import Device, encoded
from tests.orchestrator.serving import Population, until
from tests.plans.linear import PLAN as LINEAR_PLAN
from tests.plans.readings import PLAN as READINGS
from wire import routes, tensors
from wire.errors import ErrorCode, OperatorError
from wire.operator_messages import CheckpointView, RoundPolicy, TaskRequest, TaskView


def held(population: Population, task: TaskView, device: Device, number: int, weight: float) -> None:
    """A round with one report of these weighted deltas."""
    population.round_in(task.task_id, number, "selection")
    device.finish(device.work(), encoded((weight, weight), weight, 1.0))
    population.round_in(task.task_id, number, "completed")


@pytest.fixture
def task(population: Population) -> TaskView:
    """A task with two rounds behind it, and a third open."""
    made = population.push(rounds=9, cohort=1)
    device = population.device()
    held(population, made, device, 1, 1.0)
    held(population, made, device, 2, 10.0)
    population.round_in(made.task_id, 3, "selection")
    return made


def state(population: Population, checkpoint: CheckpointView) -> dict[str, np.ndarray]:
    return dict(tensors.decode(population.operator.resource(checkpoint.sha256)))


def test_a_label_is_on_one_checkpoint_of_a_population(population: Population, task: TaskView) -> None:
    operator = population.operator
    assert operator.label(task.task_id, 1, "released").labels == ("released",)
    assert operator.label(task.task_id, 1, "candidate").labels == ("candidate", "released")
    other = population.push(rounds=1)
    operator.label(other.task_id, 0, "released")
    assert [one.labels for one in operator.checkpoints(task.task_id)] == [(), ("candidate",), ()]
    labels = [(one.label, one.task_id, one.round_number) for one in operator.labels(population=population.name)]
    assert labels == [("candidate", task.task_id, 1), ("released", other.task_id, 0)]
    assert operator.unlabel(task.task_id, 1, "candidate").labels == ()
    with pytest.raises(OperatorError, match="has no label 'candidate'") as refused:
        operator.unlabel(task.task_id, 1, "candidate")
    assert refused.value.code == ErrorCode.NOT_FOUND


@pytest.mark.parametrize("label", ["A", "-a", "a b", "é", "a" * 101])
def test_a_label_is_a_plain_name(population: Population, task: TaskView, label: str) -> None:
    with pytest.raises(OperatorError, match="a label matches") as refused:
        population.operator.label(task.task_id, 1, label)
    assert refused.value.code == ErrorCode.INVALID_REQUEST


def test_two_checkpoints_stand_beside_each_other(population: Population, task: TaskView) -> None:
    compared = population.operator.compare(task.task_id, 1, 2)
    one, two = (state(population, kept) for kept in population.operator.checkpoints(task.task_id)[1:])
    assert {difference.name for difference in compared.tensors} == one.keys()
    for difference in compared.tensors:
        change = two[difference.name].astype(np.float64) - one[difference.name]
        assert difference.difference_norm == pytest.approx(np.linalg.norm(change))
        assert difference.largest_difference == pytest.approx(np.abs(change).max(initial=0))
        assert difference.norm == pytest.approx(np.linalg.norm(one[difference.name].astype(np.float64)))
    assert max(difference.difference_norm for difference in compared.tensors) > 1
    assert compared.metrics == population.operator.rounds(task.task_id)[0].metrics
    assert population.operator.compare(task.task_id, 0, 1).metrics == {}


def test_a_rollback_is_a_new_checkpoint_and_changes_no_old_one(population: Population, task: TaskView) -> None:
    operator = population.operator
    before = operator.checkpoints(task.task_id)
    made = operator.roll_back(task.task_id, 1)
    assert (made.round_number, made.sha256, made.from_task_id, made.from_round) == (
        4,
        before[1].sha256,
        task.task_id,
        1,
    )
    assert operator.checkpoints(task.task_id) == (*before, made)
    third = operator.round(task.task_id, 3).round
    assert (third.state, third.reason) == ("cancelled", "the task was rolled back to checkpoint 1")
    # The next round starts from it, and takes the number after it.
    device = population.device()
    held(population, task, device, 5, 10.0)
    fifth = operator.round(task.task_id, 5).round
    assert fifth.reads_round == 4
    assert operator.checkpoints(task.task_id)[-1].sha256 == before[2].sha256, "the same state and the same update"
    assert operator.compare(task.task_id, 4, 1).metrics == operator.rounds(task.task_id)[0].metrics


def test_a_state_is_compared_whose_origin_is_kept_no_longer(population: Population) -> None:
    operator, device = population.operator, population.device()
    made = population.push(rounds=9, cohort=1, keep_last=1)
    held(population, made, device, 1, 1.0)
    population.round_in(made.task_id, 2, "selection")
    again = operator.roll_back(made.task_id, 1)
    until(lambda: [kept.round_number for kept in operator.checkpoints(made.task_id)] == [again.round_number])
    metrics = operator.compare(made.task_id, again.round_number, again.round_number).metrics
    assert metrics == operator.rounds(made.task_id)[0].metrics != {}


def test_a_rollback_that_is_sent_again_is_one(population: Population, task: TaskView) -> None:
    made = [population.operator.roll_back(task.task_id, 0, idempotency_key=task.task_id) for _ in range(2)]
    assert made[0] == made[1]
    assert len(population.operator.checkpoints(task.task_id)) == 4


def test_only_a_running_task_goes_back(population: Population, task: TaskView) -> None:
    population.operator.cancel(task.task_id)
    with pytest.raises(OperatorError, match="push another that warm-starts") as refused:
        population.operator.roll_back(task.task_id, 1)
    assert refused.value.code == ErrorCode.CONFLICT
    with pytest.raises(OperatorError, match="has no checkpoint 7"):
        population.operator.roll_back(task.task_id, 7)


def test_a_task_starts_from_a_checkpoint_by_its_digest(population: Population, task: TaskView) -> None:
    source = population.operator.checkpoints(task.task_id)[2]
    request = TaskRequest("warm", population.name, policy=RoundPolicy(rounds=1), warm_start=source.sha256)
    warm = population.operator.push(request, plan=LINEAR.read_bytes())
    (first,) = population.operator.checkpoints(warm.task_id)
    assert (first.sha256, first.from_task_id, first.from_round) == (source.sha256, task.task_id, 2)


def test_a_warm_start_fits_its_plan(population: Population, task: TaskView) -> None:
    source = population.operator.checkpoints(task.task_id)[1]
    plan = LINEAR.read_bytes()
    for request, data, words in (
        (TaskRequest("a", population.name, warm_start="0" * 64), plan, "no task has a checkpoint"),
        (
            TaskRequest("a", population.name, work="evaluate", reads=task.task_id, warm_start=source.sha256),
            plan,
            "of its own",
        ),
        (TaskRequest("a", population.name, warm_start=source.sha256), bundle.pack(READINGS), "other tensors"),
    ):
        with pytest.raises(OperatorError, match=words):
            population.operator.push(request, plan=data)


def test_the_command_keeps_the_registry(
    population: Population, task: TaskView, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    orchestrator = population.orchestrator
    for arguments, shown in (
        (("label", task.task_id, "2", "released"), "released"),
        (("list", task.task_id), "released"),
        (("compare", task.task_id, "1", "2"), "of the difference"),
        (("get", task.task_id, "2", "--out", str(tmp_path / "two.safetensors")), "sha256"),
        (("rollback", task.task_id, "1"), "checkpoint 4 has the state of checkpoint 1"),
        (("unlabel", task.task_id, "2", "released"), "no labels"),
    ):
        assert main(["checkpoint", *arguments, "--url", orchestrator.url, "--api-key", orchestrator.api_key]) == 0
        assert shown in capsys.readouterr().out, arguments
    assert tensors.decode((tmp_path / "two.safetensors").read_bytes()).keys()


def test_devices_fetch_the_model_that_was_released_to_them(population: Population, tmp_path: Path) -> None:
    predicting = replace(LINEAR_PLAN, manifest=replace(LINEAR_PLAN.manifest, infer="evaluate_step"))
    request = TaskRequest("predicting", population.name, policy=RoundPolicy(rounds=9, cohort=1))
    task = population.operator.push(request, plan=bundle.pack(predicting))
    device = population.device()
    held(population, task, device, 1, 1.0)
    population.operator.label(task.task_id, 1, "released")
    state = StateDir(tmp_path / "device")
    state.make()
    orchestrator = population.orchestrator
    transport = HttpTransport(orchestrator.url)
    enrol(state, transport, url=orchestrator.url, token=population.token(), attributes={})
    released, data = fetch_model(state, identity.load(state), transport, "released")
    assert (released.task_id, released.round_number) == (task.task_id, 1)
    assert data == population.operator.model(task.task_id, 1)
    out = tmp_path / "model.zip"
    where = ["--url", orchestrator.url, "--api-key", orchestrator.api_key]
    assert main(["checkpoint", "get", task.task_id, "1", "--as", "model", "--out", str(out), *where]) == 0
    assert out.read_bytes() == data
    assert main(["checkpoint", "get", task.task_id, "7", "--out", str(out), *where]) == 1
    record = inference.Model(data).record
    assert record.checkpoint_sha256 == population.operator.checkpoints(task.task_id)[1].sha256
    assert population.operator.model(task.task_id, 0) != data


def test_a_plan_that_cannot_predict_has_labels_and_no_model(population: Population, task: TaskView) -> None:
    population.operator.label(task.task_id, 1, "released")
    answer = population.device().call("GET", routes.released_model("released"))
    assert answer.problem.code == ErrorCode.NOT_FOUND
    with pytest.raises(OperatorError, match="names no signature that predicts"):
        population.operator.model(task.task_id, 1)
