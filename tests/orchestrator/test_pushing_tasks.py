"""A task is pushed whole and sound, or refused with a reason; nothing of a refused one is kept in the database."""

import json
import socket
from dataclasses import replace
from typing import Any

import pytest

from plans import bundle
from plans.manifest import Step
from tests.golden.make_plans import LINEAR
from tests.orchestrator.device import encoded
from tests.orchestrator.serving import Population
from tests.plans.linear import PLAN, TRAIN, with_pass, with_work
from wire import routes
from wire.errors import ErrorCode, OperatorError
from wire.operator_messages import RoundPolicy, TaskRequest

GOLDEN = LINEAR.read_bytes()


def planned(**changes: Any) -> bytes:
    return bundle.pack(replace(PLAN, **changes))


def refused(population: Population, request: TaskRequest, plan: bytes | None = GOLDEN) -> OperatorError:
    before = population.orchestrator.dump()
    with pytest.raises(OperatorError) as error:
        population.operator.push(request, plan=plan)
    assert population.orchestrator.dump() == before
    return error.value


def form(population: Population, body: bytes, content_type: str) -> tuple[int, str, str]:
    """A raw POST to /tasks: the status, the code and the detail of its refusal."""
    orchestrator = population.orchestrator
    problem = orchestrator.connections.call(
        "POST",
        orchestrator.url + routes.TASKS,
        body,
        token=orchestrator.api_key,
        headers={"Content-Type": content_type},
    ).problem
    return problem.status, problem.code, problem.detail


def multipart(*parts: tuple[str, bytes]) -> bytes:
    made = (
        f"--b\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + content + b"\r\n" for head, content in parts
    )
    return b"".join([*made, b"--b--\r\n"])


def test_a_task_is_shown_as_it_was_pushed(population: Population) -> None:
    policy = RoundPolicy(rounds=3, cohort=5, report_goal=4, attributes={"place": "garden"})
    task = population.operator.push(TaskRequest("linear", population.name, policy=policy), plan=GOLDEN)
    assert (task.name, task.population, task.work, task.state) == ("linear", population.name, "train", "running")
    assert (task.policy, task.rounds_completed, task.created_at) == (policy, 0, population.orchestrator.clock.now)
    assert task.plan_sha256 == bundle.digest(GOLDEN)
    assert population.operator.task(task.task_id) == task
    assert task in population.operator.tasks()
    (first,) = population.operator.checkpoints(task.task_id)
    assert first.round_number == 0
    assert population.operator.resource(first.sha256)


def test_the_same_plan_may_be_pushed_again(population: Population) -> None:
    one, other = population.push(), population.push()
    assert one.plan_sha256 == other.plan_sha256
    assert one.task_id != other.task_id


BAD_PLANS: dict[str, tuple[bytes, ErrorCode, str]] = {
    "no plan": (b"no plan", ErrorCode.INVALID_PLAN, "expected the zip of a .plan file"),
    "a plan that is cut": (GOLDEN[:-100], ErrorCode.INVALID_PLAN, "expected the zip"),
    "a damaged plan": (GOLDEN[:5000] + b"damage" + GOLDEN[5006:], ErrorCode.INVALID_PLAN, ""),
    "a program that is none": (planned(server=b"none"), ErrorCode.INVALID_PLAN, "cannot load the program of 4 bytes"),
    "a missing signature": (planned(manifest=with_pass(step="gone")), ErrorCode.INVALID_PLAN, "no signature 'gone'"),
    "a contradiction": (planned(manifest=with_pass(example_weight="x")), ErrorCode.INVALID_PLAN, "two purposes"),
    "a newer format": (
        planned(manifest=replace(PLAN.manifest, format_version=2)),
        ErrorCode.UNSUPPORTED_PLAN,
        "format 2",
    ),
    "an unknown feature": (
        planned(manifest=replace(PLAN.manifest, required_features=("telepathy",))),
        ErrorCode.UNSUPPORTED_PLAN,
        "telepathy",
    ),
    "a step": (
        planned(manifest=with_work(aggregation=(replace(TRAIN.aggregation[0], steps=(Step("encode"),)),))),
        ErrorCode.UNSUPPORTED_PLAN,
        "'encode'",
    ),
}


@pytest.mark.parametrize(("plan", "code", "detail"), BAD_PLANS.values(), ids=BAD_PLANS)
def test_a_plan_that_cannot_be_run_is_refused(
    population: Population, plan: bytes, code: ErrorCode, detail: str
) -> None:
    error = refused(population, TaskRequest("task", population.name), plan)
    assert (error.code, error.status) == (code, 422)
    assert detail in str(error)


BAD_REQUESTS: dict[str, tuple[dict[str, Any], ErrorCode, str]] = {
    "an unknown population": ({"population": "nowhere"}, ErrorCode.NOT_FOUND, "no population 'nowhere'"),
    "an unknown work": ({"work": "dream"}, ErrorCode.INVALID_REQUEST, "no work 'dream'; it has evaluate, train"),
    "an evaluation of nothing": ({"work": "evaluate"}, ErrorCode.INVALID_REQUEST, "say in `reads` whose checkpoints"),
    "a task to read that is not there": ({"reads": "gone"}, ErrorCode.NOT_FOUND, "there is no task 'gone'"),
    "settings for a model": ({"export": {"epochs": 1}}, ErrorCode.INVALID_REQUEST, "`export` has settings for a model"),
}


@pytest.mark.parametrize(("changes", "code", "detail"), BAD_REQUESTS.values(), ids=BAD_REQUESTS)
def test_a_request_that_contradicts_its_plan_is_refused(
    population: Population, changes: dict[str, Any], code: ErrorCode, detail: str
) -> None:
    error = refused(population, replace(TaskRequest("task", population.name), **changes))
    assert error.code == code
    assert detail in str(error)


def test_a_task_without_a_plan_is_refused(population: Population) -> None:
    error = refused(population, TaskRequest("task", population.name), plan=None)
    assert "a task needs a plan or a model" in str(error)


BAD_POLICIES: dict[str, dict[str, Any]] = {
    "no round": {"rounds": 0},
    "no cohort": {"cohort": 0},
    "a goal above the cohort": {"cohort": 2, "report_goal": 3},
    "a minimum above the goal": {"cohort": 3, "report_goal": 2, "minimum_reports": 3},
    "a cohort beyond all devices": {"cohort": 10**18},
    "no time": {"selection_deadline_seconds": 0},
    "a century": {"reporting_deadline_seconds": 3e9},
    "a cohort that is text": {"cohort": "4"},
    "a version that is none": {"minimum_sdk_version": "new"},
    "an interpreter's version that is none": {"interpreters": {"ai-edge-litert": ">=2"}},
    "fewer than no rounds between": {"minimum_rounds_between": -1},
    "nobody to train on": {"evaluation_share": 1},
    "no priority": {"priority": 0},
    "no time at all": {"time_limit_seconds": 0},
    "every no-th round": {"read_every": 0},
    "no checkpoint": {"keep_last": 0},
    "every second, and how many of the newest": {"keep_every": 2},
    "nobody at work": {"concurrency": 0},
    "a goal below the buffer": {"concurrency": 9, "cohort": 4, "report_goal": 3},
    "staleness without stale updates": {"staleness_exponent": 1},
    "a bound of staleness without stale updates": {"maximum_staleness": 3},
    "staler counts more": {"concurrency": 9, "staleness_exponent": -0.5},
    "fresher than fresh": {"concurrency": 9, "maximum_staleness": -1},
    "a stop without a bound": {"stop_when": {"metric": "loss"}},
    "a stop with two bounds": {"stop_when": {"metric": "loss", "above": 1, "below": 2}},
    "a stop after no round": {"stop_when": {"metric": "loss", "below": 1, "rounds": 0}},
}


@pytest.mark.parametrize("policy", BAD_POLICIES.values(), ids=BAD_POLICIES)
def test_a_policy_that_contradicts_itself_is_refused(population: Population, policy: dict[str, Any]) -> None:
    task = json.dumps({"name": "task", "population": population.name, "policy": policy}).encode()
    body = multipart(('name="task"', task), ('name="plan"; filename="p"', GOLDEN))
    status, code, detail = form(population, body, "multipart/form-data; boundary=b")
    assert (status, code) == (400, ErrorCode.INVALID_REQUEST)
    assert detail.startswith("$.policy")


TASK = ('name="task"', b'{"name": "task"}')
PLAN_FILE = ('name="plan"; filename="p"', GOLDEN)
FORMS: dict[str, tuple[bytes, str]] = {
    "JSON": (b'{"name": "task"}', "application/json"),
    "nothing": (b"", "multipart/form-data; boundary=b"),
    "no boundary": (multipart(TASK), "multipart/form-data"),
    "another boundary": (multipart(TASK), "multipart/form-data; boundary=c"),
    "a form that is cut": (multipart(TASK, PLAN_FILE)[:60], "multipart/form-data; boundary=b"),
    "no parts at all": (b"--b\r\n\r\n\r\n--b", "multipart/form-data; boundary=b"),
    "rubbish": (b"\xff\x00" * 500, "multipart/form-data; boundary=b"),
    "no task": (multipart(PLAN_FILE), "multipart/form-data; boundary=b"),
    "a task that is a file": (multipart(('name="task"; filename="t"', b"{}")), "multipart/form-data; boundary=b"),
    "a task that is no JSON": (multipart(('name="task"', b"{"), PLAN_FILE), "multipart/form-data; boundary=b"),
    "a task without a name": (multipart(('name="task"', b"{}"), PLAN_FILE), "multipart/form-data; boundary=b"),
    "a plan that is text": (multipart(('name="plan"', b"p")), "multipart/form-data; boundary=b"),
    "two plans": (multipart(TASK, PLAN_FILE, PLAN_FILE), "multipart/form-data; boundary=b"),
    "two tasks": (multipart(TASK, TASK), "multipart/form-data; boundary=b"),
    "a task of a megabyte": (multipart(('name="task"', b" " * (1 << 20))), "multipart/form-data; boundary=b"),
    "a form of another kind": (b"task=%7B%7D", "application/x-www-form-urlencoded"),
    "half a character": (
        multipart(('name="task"', rb'{"name": "\ud800"}'), PLAN_FILE),
        "multipart/form-data; boundary=b",
    ),
}


@pytest.mark.parametrize(("body", "content_type"), FORMS.values(), ids=FORMS)
def test_a_form_that_is_no_task_is_refused(population: Population, body: bytes, content_type: str) -> None:
    before = population.orchestrator.dump()
    status, code, _ = form(population, body, content_type)
    assert (status, code) == (400, ErrorCode.INVALID_REQUEST)
    assert population.orchestrator.dump() == before


def announced(population: Population, header: str) -> bytes:
    """What the server answers to the head of a request alone."""
    host, port = population.orchestrator.url.removeprefix("http://").split(":")
    head = (
        f"POST {routes.TASKS} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {population.orchestrator.api_key}\r\n"
        f"Content-Type: multipart/form-data; boundary=b\r\n{header}\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(head.encode())
        return connection.makefile("rb").read()


def test_a_task_that_is_too_large_is_refused_before_it_comes(population: Population) -> None:
    answer = announced(population, f"Content-Length: {1 << 40}")
    assert answer.startswith(b"HTTP/1.1 413")
    assert b'"code":"too_large"' in answer


def test_a_task_of_an_unknown_size_is_refused(population: Population) -> None:
    answer = announced(population, "Transfer-Encoding: chunked")
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"needs a Content-Length" in answer


def test_an_evaluation_runs_the_plan_of_the_task_it_reads(population: Population) -> None:
    training = population.push()
    evaluation = population.evaluate(training.task_id)
    assert (evaluation.work, evaluation.reads) == ("evaluate", training.task_id)
    assert evaluation.plan_sha256 == training.plan_sha256
    assert population.operator.checkpoints(evaluation.task_id) == ()


def test_an_evaluation_may_bring_a_plan_of_its_own(population: Population) -> None:
    training = population.push()
    plan = planned(manifest=replace(PLAN.manifest, name="other"))
    request = TaskRequest("evaluation", population.name, reads=training.task_id)
    assert population.operator.push(request, plan=plan).plan_sha256 == bundle.digest(plan)


def test_a_task_that_changes_a_state_reads_no_other(population: Population) -> None:
    training = population.push()
    error = refused(population, TaskRequest("task", population.name, work="train", reads=training.task_id))
    assert "has checkpoints of its own; leave `reads` out" in str(error)


def test_a_task_reads_tasks_of_its_own_population_only(population: Population) -> None:
    training = population.push()
    other = population.orchestrator.population(population.name + "-other")
    error = refused(population, TaskRequest("task", other.name, reads=training.task_id), plan=None)
    assert f"the task it reads is for the population '{population.name}'" in str(error)


def test_a_cancelled_task_stops_with_its_round(population: Population) -> None:
    task = population.push(cohort=2)
    device = population.device()
    assignment = device.work()
    cancelled = population.operator.cancel(task.task_id)
    assert (cancelled.state, cancelled.ended_at) == ("cancelled", population.orchestrator.clock.now)
    assert population.operator.cancel(task.task_id) == cancelled
    (round_,) = population.operator.rounds(task.task_id)
    assert (round_.state, round_.reason) == ("cancelled", "the task was cancelled")
    assert device.put(assignment.assignment_id, encoded()).problem.code == ErrorCode.ASSIGNMENT_CLOSED
    assert device.check_in().assignment is None


def test_a_task_that_has_ended_is_not_cancelled(population: Population) -> None:
    task = population.push(rounds=1, cohort=1)
    device = population.device()
    device.finish(device.work(), encoded())
    population.task_in(task.task_id, "completed")
    with pytest.raises(OperatorError, match="one that has ended cannot be cancelled") as error:
        population.operator.cancel(task.task_id)
    assert error.value.code == ErrorCode.CONFLICT


@pytest.mark.parametrize("call", ["task", "cancel", "rounds", "checkpoints"])
def test_a_task_that_is_not_there_is_not_found(population: Population, call: str) -> None:
    with pytest.raises(OperatorError, match="there is no task 'gone'") as error:
        getattr(population.operator, call)("gone")
    assert (error.value.code, error.value.status) == (ErrorCode.NOT_FOUND, 404)
