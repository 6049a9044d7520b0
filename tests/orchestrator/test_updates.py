"""An update's bytes are kept whole, for the assignment of the device that sent them, or not at all."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from plans import bundle
from tests.orchestrator.device import Device, encoded
from tests.orchestrator.http import Answer
from tests.orchestrator.serving import Population, until
from wire import routes
from wire.errors import ErrorCode
from wire.messages import Assignment

DATA = encoded()


def updates(population: Population, assignment: Assignment) -> list[str]:
    """What is kept for an assignment."""
    folder = Path(population.orchestrator.folder) / "store" / "updates" / assignment.assignment_id
    return sorted(path.name for path in folder.glob("*"))


@pytest.fixture
def device(population: Population) -> Device:
    population.push(cohort=2)
    return population.device()


def test_an_update_is_kept_and_may_come_again(population: Population, device: Device) -> None:
    assignment = device.work()
    for _ in range(2):
        answer = device.put(assignment.assignment_id, DATA)
        assert (answer.status, answer.body) == (204, b"")
    assert updates(population, assignment) == [bundle.digest(DATA)]


Put = Callable[[Device, str], Answer]
REFUSED: dict[str, tuple[Put, ErrorCode, int]] = {
    "another digest": (lambda d, a: d.put(a, DATA, "0" * 64), ErrorCode.DIGEST_MISMATCH, 422),
    "a digest in capitals": (lambda d, a: d.put(a, DATA, bundle.digest(DATA).upper()), ErrorCode.INVALID_REQUEST, 400),
    "a digest that is a path": (lambda d, a: d.put(a, DATA, "../../../fedelta.db"), ErrorCode.INVALID_REQUEST, 400),
    "a digest that is no ASCII": (lambda d, a: d.put(a, DATA, "é" * 64), ErrorCode.INVALID_REQUEST, 400),
    "no digest": (lambda d, a: d.call("PUT", routes.update(a), DATA), ErrorCode.INVALID_REQUEST, 400),
    "a byte too many": (lambda d, a: d.put(a, DATA + b"!"), ErrorCode.TOO_LARGE, 413),
    "a byte too few": (lambda d, a: d.put(a, DATA[:-1]), ErrorCode.INVALID_UPDATE, 422),
    "nothing": (lambda d, a: d.put(a, b""), ErrorCode.INVALID_UPDATE, 422),
}


@pytest.mark.parametrize(("put", "code", "status"), REFUSED.values(), ids=REFUSED)
def test_an_update_that_is_not_the_announced_one_leaves_nothing(
    population: Population, device: Device, put: Put, code: ErrorCode, status: int
) -> None:
    assignment = device.work()
    before = population.orchestrator.dump()
    problem = put(device, assignment.assignment_id).problem
    assert (problem.code, problem.status) == (code, status)
    assert updates(population, assignment) == []
    assert population.orchestrator.dump() == before
    device.upload(assignment, DATA)


@pytest.mark.parametrize(
    "assignment_id", ["00000000-0000-0000-0000-000000000000", "..", "%2e%2e", "..%2F..%2Fescaped", "a\\b", "%00"]
)
def test_an_assignment_that_is_not_there_takes_nothing(
    population: Population, device: Device, assignment_id: str
) -> None:
    assert device.put(assignment_id, DATA).problem.code == ErrorCode.NOT_FOUND
    assert not list(population.orchestrator.folder.parent.rglob("escaped*"))


def test_another_devices_assignment_takes_nothing(population: Population, device: Device) -> None:
    assignment, other = device.work(), population.device()
    assert other.put(assignment.assignment_id, DATA).problem.code == ErrorCode.NOT_FOUND
    assert updates(population, assignment) == []


def test_an_assignment_takes_a_few_different_updates_and_no_more(population: Population, device: Device) -> None:
    assignment = device.work()
    for number in range(4):
        device.upload(assignment, encoded(b=number))
    assert device.put(assignment.assignment_id, encoded(b=9)).problem.code == ErrorCode.INVALID_REQUEST
    assert len(updates(population, assignment)) == 4


def test_an_assignment_that_was_reported_takes_nothing_more(device: Device) -> None:
    assignment = device.work()
    device.finish(assignment, DATA)
    problem = device.put(assignment.assignment_id, encoded(b=9)).problem
    assert (problem.code, problem.status) == (ErrorCode.ASSIGNMENT_CLOSED, 410)


def test_a_connection_that_is_cut_leaves_nothing(population: Population, device: Device) -> None:
    assignment = device.work()
    host, port = device.url.removeprefix("http://").split(":")
    head = (
        f"PUT {routes.update(assignment.assignment_id)} HTTP/1.1\r\nHost: {host}\r\n"
        f"Authorization: Bearer {device.token}\r\n{routes.DIGEST_HEADER}: {bundle.digest(DATA)}\r\n"
        f"Content-Length: {len(DATA)}\r\n\r\n"
    )
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode() + DATA[:50])
        until(lambda: any(name.startswith(".new-") for name in updates(population, assignment)))
    until(lambda: updates(population, assignment) == [])


def test_an_evaluation_takes_no_update(population: Population) -> None:
    task = population.push(rounds=1, cohort=1)
    device = population.device()
    device.finish(device.work(), DATA)
    evaluation = population.evaluate(task.task_id, rounds=1, cohort=1)
    population.round_in(evaluation.task_id, 1, "selection")
    assignment = device.work()
    assert assignment.upload == ()
    problem = device.put(assignment.assignment_id, DATA).problem
    assert problem.code == ErrorCode.INVALID_REQUEST
    assert "the work 'evaluate' has no update" in problem.detail
