"""An update's bytes are kept whole, for the assignment of the device that sent them, or not at all."""

import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from plans import bundle
from tests.orchestrator.device import Device, encoded
from tests.orchestrator.full_disk import full_disk
from tests.orchestrator.http import Answer
from tests.orchestrator.serving import Population, until
from wire import codec, routes
from wire.errors import ErrorCode
from wire.messages import Assignment, Resource, Upload, UploadPart

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


def announced(device: Device, assignment: Assignment, data: bytes = DATA) -> tuple[UploadPart, ...]:
    """What is missing of an update, as the orchestrator says."""
    message = codec.dumps(Resource(bundle.digest(data), len(data)))
    return device.call("POST", routes.upload(assignment.assignment_id), message).document(Upload).parts


def request_head(device: Device, assignment: Assignment, length: int) -> bytes:
    """A PUT of an update, before its body."""
    return (
        f"PUT {routes.update(assignment.assignment_id)} HTTP/1.1\r\nHost: orchestrator\r\n"
        f"Authorization: Bearer {device.token}\r\n{routes.DIGEST_HEADER}: {bundle.digest(DATA)}\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


def send_and_cut(population: Population, device: Device, assignment: Assignment, sent: bytes) -> None:
    """Begin to send an update, and lose the connection when the orchestrator has these bytes of it.

    A web server lets go of bytes that nobody has read when their connection ends, so it may take several times.
    """
    host, port = device.url.removeprefix("http://").split(":")

    def try_once() -> bool:
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(request_head(device, assignment, len(DATA)) + sent)
            until(lambda: any(".part-" in name for name in updates(population, assignment)))
            time.sleep(0.02)
        until(lambda: not updates(population, assignment) or announced(device, assignment)[0].offset == len(sent))
        return bool(updates(population, assignment))

    until(try_once)


def test_a_new_update_is_all_missing_and_a_whole_one_not_at_all(device: Device) -> None:
    assignment = device.work()
    headers = {routes.DIGEST_HEADER: bundle.digest(DATA), routes.OFFSET_HEADER: "0"}
    whole = UploadPart("PUT", routes.update(assignment.assignment_id), 0, len(DATA), headers)
    assert announced(device, assignment) == (whole,)
    device.upload(assignment, DATA)
    assert announced(device, assignment) == ()


def test_an_update_goes_on_where_its_connection_was_cut(population: Population, device: Device) -> None:
    assignment = device.work()
    send_and_cut(population, device, assignment, DATA[:50])
    (part,) = announced(device, assignment)
    assert (part.offset, part.size_bytes) == (50, len(DATA) - 50)
    named = {name.replace("-", "_"): value for name, value in part.headers.items()}
    device.call(part.method, part.url, DATA[50:], **named).check()
    assert updates(population, assignment) == [bundle.digest(DATA)]
    device.report(assignment.assignment_id, device.completed(assignment, DATA))


def test_a_part_that_does_not_join_what_is_there_changes_nothing(population: Population, device: Device) -> None:
    assignment = device.work()
    send_and_cut(population, device, assignment, DATA[:50])
    digest = bundle.digest(DATA)
    for offset, code in (
        ("51", ErrorCode.CONFLICT),
        ("-1", ErrorCode.INVALID_REQUEST),
        ("x", ErrorCode.INVALID_REQUEST),
    ):
        headers = {routes.DIGEST_HEADER: digest, routes.OFFSET_HEADER: offset}
        body = DATA[51:] if offset == "51" else DATA
        assert device.call("PUT", routes.update(assignment.assignment_id), body, **headers).problem.code == code
        assert announced(device, assignment)[0].offset == 50


def test_an_update_that_is_cut_and_was_another_one_is_not_kept(population: Population, device: Device) -> None:
    assignment = device.work()
    send_and_cut(population, device, assignment, b"?" * 50)
    headers = {routes.DIGEST_HEADER: bundle.digest(DATA), routes.OFFSET_HEADER: "50"}
    answer = device.call("PUT", routes.update(assignment.assignment_id), DATA[50:], **headers)
    assert answer.problem.code == ErrorCode.DIGEST_MISMATCH
    assert updates(population, assignment) == []
    device.upload(assignment, DATA)


def test_a_body_that_would_be_too_long_is_refused_before_its_first_byte(population: Population, device: Device) -> None:
    assignment = device.work()
    host, port = device.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(request_head(device, assignment, len(DATA) + 1))
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")
    assert not (Path(population.orchestrator.folder) / "store" / "updates" / assignment.assignment_id).exists()


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (Resource("0" * 64, len(DATA) + 1), ErrorCode.INVALID_UPDATE),
        ({"sha256": "?", "size_bytes": len(DATA)}, ErrorCode.INVALID_REQUEST),
    ],
)
def test_an_announcement_that_cannot_be_is_refused(device: Device, document: object, code: ErrorCode) -> None:
    assignment = device.work()
    path = routes.upload(assignment.assignment_id)
    assert device.call("POST", path, codec.dumps(document)).problem.code == code


def test_another_devices_assignment_takes_no_announcement(population: Population, device: Device) -> None:
    assignment, other = device.work(), population.device()
    message = codec.dumps(Resource("0" * 64, len(DATA)))
    answer = other.call("POST", routes.upload(assignment.assignment_id), message)
    assert answer.problem.code == ErrorCode.NOT_FOUND


def test_updates_that_come_at_once_do_not_pass_the_limit_together(population: Population, device: Device) -> None:
    assignment = device.work()
    contents = [encoded(b=number) for number in range(12)]
    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(lambda data: device.put(assignment.assignment_id, data).status, contents))
    assert sorted(answers) == [204] * 4 + [400] * 8
    assert len(updates(population, assignment)) == 4


def test_a_full_disk_is_said_and_nothing_is_lost(garden: Population) -> None:
    task = garden.push(rounds=1, cohort=1)
    device = garden.device()
    assignment = device.work()
    announced(device, assignment)
    with full_disk(100):
        answer = device.put(assignment.assignment_id, DATA)
        report = codec.dumps(device.completed(assignment, DATA))
        reported = device.call("POST", routes.report(assignment.assignment_id), report)
    assert (answer.problem.status, answer.problem.code) == (503, ErrorCode.UNAVAILABLE)
    assert int(answer.headers["Retry-After"]) > 0
    assert reported.status in (409, 503)
    assert updates(garden, assignment) != [bundle.digest(DATA)]
    device.send(assignment, DATA)
    device.report(assignment.assignment_id, device.completed(assignment, DATA))
    garden.task_in(task.task_id, "completed")


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
