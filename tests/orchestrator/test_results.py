"""What computations give: typed results of rounds that real devices took part in, and every way there is none."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from device_sdk import identity
from device_sdk.agent import Agent
from device_sdk.enrolment import enrol
from device_sdk.examples import ExampleStore
from device_sdk.http import HttpTransport
from device_sdk.state_dir import StateDir
from federated.cli.main import main
from orchestrator.db import queries
from orchestrator.domain import results, selection
from plans import bundle
from plans.bundle import Plan
from plans.manifest import Phase, Port
from tests.golden.make_plans import LINEAR
from tests.orchestrator.serving import Orchestrator, Population, until
from tests.plans.readings import COUNTING, PHASES, PLAN, WORK, Station, expected, stations
from wire import routes, tensors
from wire.errors import ErrorCode, OperatorError
from wire.messages import Outcome
from wire.operator_messages import RoundPolicy, TaskRequest, TaskView
from wire.tensors import Array, TensorSpec

ONCE = {"rounds": 1, "minimum_examples": 0}


def pushed(population: Population, plan: Plan = PLAN, **policy: Any) -> TaskView:
    """A task of a plan's only work, whose first round is open."""
    request = TaskRequest(plan.manifest.name, population.name, policy=RoundPolicy(**(ONCE | policy)))
    task = population.operator.push(request, plan=bundle.pack(plan))
    population.round_in(task.task_id, 1, "selection")
    return task


@contextmanager
def agent(population: Population, folder: Path, **collections: dict[str, Array]) -> Iterator[Agent]:
    """A real device with some examples, enrolled over HTTP."""
    state = StateDir(folder)
    state.make()
    transport = HttpTransport(population.orchestrator.url)
    enrol(state, transport, url=population.orchestrator.url, token=population.token(), attributes={})
    store = ExampleStore(state.examples)
    for name, arrays in collections.items():
        store.append(name, arrays)
    clock = population.orchestrator.clock
    try:
        yield Agent(state, identity.load(state), transport, store, now=clock, elapsed=clock)
    finally:
        store.close()


def taken_part(population: Population, folder: Path, **collections: dict[str, Array]) -> None:
    """A new device that does what it is assigned."""
    with agent(population, folder, **collections) as device:
        until(lambda: device.run_once().outcome is Outcome.COMPLETED)


def measured(population: Population, folder: Path, devices: list[Station]) -> None:
    for index, station in enumerate(devices):
        held = {"temperature": {"celsius": station.celsius}, "battery": {"percent": station.percent}}
        taken_part(population, folder / str(index), **held)


def test_devices_measure_and_the_operator_reads_what_they_have_in_common(
    population: Population, tmp_path: Path
) -> None:
    devices = stations(9, 4, 6, seed=4)
    task = pushed(population, cohort=3)
    assert (task.work, task.policy.rounds) == ("readings", 1)
    measured(population, tmp_path, devices)
    population.task_in(task.task_id, "completed")
    view = population.operator.result(task.task_id)
    found = tensors.decode(population.operator.resource(view.sha256))
    assert view.size_bytes == len(population.operator.resource(view.sha256))
    assert (view.task_id, view.round_number, view.type) == (task.task_id, 1, PLAN.manifest.type)
    assert view.values is not None
    for name, value in expected(devices).items():
        path = WORK.result[name].path or name
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-4, err_msg=name)
        assert found[name].dtype.type(view.values[path]) == found[name]
    assert found["count"].dtype == np.int64


def test_the_order_of_the_devices_changes_no_bit_of_a_result(population: Population, tmp_path: Path) -> None:
    devices = stations(5, 8, seed=2)
    digests = set()
    for index, order in enumerate((devices, devices[::-1])):
        task = pushed(population, cohort=2)
        measured(population, tmp_path / str(index), order)
        population.task_in(task.task_id, "completed")
        digests.add(population.operator.result(task.task_id).sha256)
    assert len(digests) == 1


def test_what_is_no_number_is_a_word(population: Population, tmp_path: Path) -> None:
    task = pushed(population, cohort=1)
    measured(population, tmp_path, [Station(np.full(3, 10, np.float32), np.array([50], np.int32))])
    population.task_in(task.task_id, "completed")
    values = population.operator.result(task.task_id).values
    assert values is not None
    assert values["temperature/excess"] == "NaN"
    assert values["temperature/highest"] == 10.0


def test_every_round_keeps_its_result(population: Population, tmp_path: Path) -> None:
    """Two rounds of one device and then of two: the state is empty, and each result is its round's own."""
    task = pushed(population, COUNTING, rounds=2, cohort=2, report_goal=1, minimum_reports=1)
    with agent(population, tmp_path / "one") as one, agent(population, tmp_path / "other") as other:
        assert one.run_once().outcome is Outcome.COMPLETED
        population.round_in(task.task_id, 2, "selection")
        assert population.operator.result(task.task_id).round_number == 1
        until(lambda: other.run_once().outcome is Outcome.COMPLETED)
    population.task_in(task.task_id, "completed")
    assert [population.operator.result(task.task_id, number).round_number for number in (1, 2)] == [1, 2]
    last = population.operator.result(task.task_id)
    assert (last.round_number, last.values) == (2, {"devices": 1})
    assert [kept.round_number for kept in population.operator.checkpoints(task.task_id)] == [0, 1, 2]


def test_an_analysis_keeps_to_the_policies_of_learning(population: Population, tmp_path: Path) -> None:
    """Paused, it begins nothing; a device rests between its rounds; and only the newest states are kept."""
    task = pushed(population, COUNTING, rounds=3, cohort=1, minimum_rounds_between=1, keep_last=1)
    with agent(population, tmp_path / "one") as one, agent(population, tmp_path / "other") as other:
        population.operator.pause(task.task_id)
        assert one.run_once().outcome is None
        population.operator.resume(task.task_id)
        assert one.run_once().outcome is Outcome.COMPLETED
        population.round_in(task.task_id, 2, "selection")
        assert one.run_once().outcome is None
        for device in (other, one):
            until(lambda device=device: device.run_once().outcome is Outcome.COMPLETED)  # type: ignore[misc]
    ended = population.task_in(task.task_id, "completed")
    assert (ended.rounds_completed, ended.completed_because) == (3, "3 rounds were completed")
    assert [kept.round_number for kept in population.operator.checkpoints(task.task_id)] == [3]
    assert [population.operator.result(task.task_id, number).values for number in (1, 2, 3)] == [{"devices": 1}] * 3


def test_an_analysis_asks_only_devices_that_are_not_set_aside(population: Population, tmp_path: Path) -> None:
    task = pushed(population, COUNTING, cohort=1, evaluation_share=0.5)
    set_aside = dict[bool, bool]()
    for number in range(30):
        if len(set_aside) == 2:
            break
        with agent(population, tmp_path / str(number)) as device:
            is_set_aside = selection.draw_of(identity.load(StateDir(tmp_path / str(number))).record.device_id) < 0.5
            outcome = device.run_once().outcome
            set_aside.setdefault(is_set_aside, outcome is Outcome.COMPLETED)
            assert outcome is None or not is_set_aside
    assert set_aside == {True: False, False: True}
    assert population.task_in(task.task_id, "completed").rounds_completed == 1


def test_a_work_without_an_update_gives_its_result(population: Population, tmp_path: Path) -> None:
    (work,) = COUNTING.manifest.works.values()
    silent = replace(work, update={}, aggregation=(), update_state="note")
    plan = replace(COUNTING, manifest=replace(COUNTING.manifest, phases=(Phase({"silent": silent}),)))
    task = pushed(population, plan, cohort=1)
    taken_part(population, tmp_path / "device")
    population.task_in(task.task_id, "completed")
    assert population.operator.result(task.task_id).values == {"devices": 0}


def test_what_a_round_needs_later_never_leaves_the_server(garden: Population, tmp_path: Path) -> None:
    """`temp` is kept with the round, outlives a restart, and is served to nobody."""
    task = pushed(garden, cohort=1)
    temps = [path for path in (garden.orchestrator.folder / "store" / "temps").rglob("*") if path.is_file()]
    (temp,) = temps
    assert tensors.decode(temp.read_bytes()) == {"offset": np.float32(0.5)}
    with pytest.raises(OperatorError) as refused:
        garden.operator.resource(temp.name)
    assert refused.value.code == ErrorCode.NOT_FOUND
    garden.orchestrator.restart()
    measured(garden, tmp_path, stations(4))
    garden.task_in(task.task_id, "completed")
    assert garden.operator.result(task.task_id).round_number == 1


def test_a_lost_temp_fails_the_round_and_says_so(garden: Population, tmp_path: Path) -> None:
    task = pushed(garden, cohort=1)
    shutil.rmtree(garden.orchestrator.folder / "store" / "temps")
    measured(garden, tmp_path, stations(4))
    assert "the sum or the new state could not be made" in garden.round_in(task.task_id, 1, "failed").reason
    with pytest.raises(OperatorError, match=r"round 1 of 'readings' is failed; the sum or") as refused:
        garden.operator.result(task.task_id, 1)
    assert refused.value.code == ErrorCode.CONFLICT


Ask = Callable[[Population, TaskView], object]
NOT_THERE: dict[str, tuple[Ask, ErrorCode, int, str]] = {
    "no task": (lambda population, _: population.operator.result("nothing"), ErrorCode.NOT_FOUND, 404, "no task"),
    "no round yet": (
        lambda population, task: population.operator.result(task.task_id),
        ErrorCode.CONFLICT,
        409,
        "no round of 'readings' has been completed yet; the task is running",
    ),
    "a round that goes on": (
        lambda population, task: population.operator.result(task.task_id, 1),
        ErrorCode.CONFLICT,
        409,
        "round 1 of 'readings' is selection; it gives its result when it is completed",
    ),
    "no such round": (
        lambda population, task: population.operator.result(task.task_id, 7),
        ErrorCode.NOT_FOUND,
        404,
        "the task 'readings' has no round 7",
    ),
    "a training": (
        lambda population, _: population.operator.result(population.push().task_id),
        ErrorCode.NOT_FOUND,
        404,
        "the work 'train' of 'linear' gives no result; look at its checkpoints",
    ),
}


@pytest.mark.parametrize(("ask", "code", "status", "message"), NOT_THERE.values(), ids=NOT_THERE)
def test_a_result_that_is_not_there_is_explained(
    population: Population, ask: Ask, code: ErrorCode, status: int, message: str
) -> None:
    with pytest.raises(OperatorError, match=message) as refused:
        ask(population, pushed(population))
    assert (refused.value.code, refused.value.status) == (code, status)


@pytest.mark.parametrize("number", ["", "one", "1.5", "0", "-1", "9" * 30])
def test_a_round_is_a_number(population: Population, number: str) -> None:
    connections, operator = population.orchestrator.connections, population.orchestrator
    path = routes.task_result(pushed(population).task_id)
    answer = connections.call("GET", f"{operator.url}{path}?round={number}", token=operator.api_key)
    assert (answer.status, answer.problem.code) == (400, ErrorCode.INVALID_REQUEST)


def test_the_documentation_page_has_the_result(orchestrator: Orchestrator) -> None:
    answer = orchestrator.connections.call("GET", f"{orchestrator.url}/openapi.json")
    operation = json.loads(answer.body)["paths"][routes.task_result("{task_id}")]["get"]
    assert [parameter["name"] for parameter in operation["parameters"]] == ["task_id", "round"]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert {"type", "values", "sha256", "size_bytes"} <= schema["properties"].keys()


def test_several_phases_are_refused_by_name(population: Population) -> None:
    with pytest.raises(OperatorError, match="2 phases over one cohort") as refused:
        population.operator.push(TaskRequest("deviation", population.name), plan=bundle.pack(PHASES))
    assert refused.value.code == ErrorCode.UNSUPPORTED_PLAN


def test_a_plan_of_several_works_trains_unless_it_is_told(population: Population) -> None:
    assert population.push().work == "train"
    request = TaskRequest("linear", population.name, work="readings")
    with pytest.raises(OperatorError, match="no work 'readings'; it has evaluate, train"):
        population.operator.push(request, plan=LINEAR.read_bytes())


SHOWN: dict[str, tuple[Array, Any]] = {
    "a number": (np.array(0.5, np.float32), 0.5),
    "a vector": (np.array([1, 2], np.int64), [1, 2]),
    "a matrix of bools": (np.array([[True], [False]]), [[True], [False]]),
    "no elements": (np.zeros((2, 0), np.float32), [[], []]),
    "words": (np.array([[np.nan, 1], [np.inf, -np.inf]], np.float32), [["NaN", 1.0], ["Infinity", "-Infinity"]]),
    "a word alone": (np.array(-np.inf, np.float32), "-Infinity"),
}


@pytest.mark.parametrize(("values", "shown"), SHOWN.values(), ids=SHOWN)
def test_a_tensor_is_shown_as_json(values: Array, shown: Any) -> None:
    assert results.as_json(values) == shown


@pytest.mark.parametrize("size", [results.MOST_ELEMENTS, results.MOST_ELEMENTS + 1])
def test_a_large_result_is_a_resource_alone(size: int) -> None:
    port = Port(TensorSpec("float32", (size,)))
    work = replace(WORK, result={"curve": replace(WORK.result["mean"], port=port)})
    given = {"curve": np.zeros(size, np.float32)}
    assert (results.shown(work, given) is None) == (size > results.MOST_ELEMENTS)


# --- the command ------------------------------------------------------------------------------------------------------


def command(population: Population, *arguments: str) -> int:
    served = population.orchestrator
    return main(["task", "result", *arguments, "--url", served.url, "--api-key", served.api_key])


def test_the_command_prints_a_result_and_writes_its_tensors(
    population: Population, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = pushed(population, COUNTING, cohort=1)
    taken_part(population, tmp_path / "device")
    population.task_in(task.task_id, "completed")
    out = tmp_path / "result.safetensors"
    assert command(population, task.task_id, "--round", "1", "--out", str(out)) == 0
    assert json.loads(capsys.readouterr().out) == {"devices": 1}
    assert tensors.decode(out.read_bytes()) == {"devices": 1}


def test_the_command_says_why_there_is_no_result(population: Population, capsys: pytest.CaptureFixture[str]) -> None:
    task = pushed(population)
    assert command(population, task.task_id) == 1
    assert "no round of 'readings' has been completed yet" in capsys.readouterr().err


def test_a_round_without_a_result_keeps_none(population: Population) -> None:
    task = population.push()
    opened = population.orchestrator.context.database.read_now(lambda tx: queries.rounds.numbered(tx, task.task_id, 1))
    assert opened is not None
    assert (opened.temp, opened.result) == (None, None)
