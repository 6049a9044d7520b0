"""What happens is told in the transaction in which it happens, and a reader misses nothing."""

import itertools
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from federated.cli.main import main
from orchestrator.db import queries
from orchestrator.domain.events import TOLD_OF_REPORTS, is_told
from tests.orchestrator.device import encoded
from tests.orchestrator.rows import add_task
from tests.orchestrator.serving import Orchestrator, Population, until
from wire import events, routes
from wire.errors import ErrorCode, OperatorError
from wire.events import Event
from wire.operator_messages import RoundPolicy, TaskView


def kept(population: Population, task: TaskView, count: int) -> list[Event]:
    """A task's first events."""
    stream = population.operator.events(task.task_id, after=0)
    return [event for event in itertools.islice(stream, count + 1) if event.kind != events.OPENED]


def trained(population: Population, task: TaskView, devices: int) -> None:
    for device in population.devices(devices):
        device.finish(device.work(), encoded())
    population.task_in(task.task_id, "completed")


def test_a_task_is_told_from_its_beginning_to_its_end(population: Population) -> None:
    task = population.push(rounds=1, cohort=2)
    trained(population, task, 2)
    told = kept(population, task, 8)
    assert [(event.kind, event.round_number) for event in told] == [
        ("task.created", None),
        ("round.selection", 1),
        ("round.reports", 1),
        ("round.reporting", 1),
        ("round.reports", 1),
        ("round.aggregation", 1),
        ("round.completed", 1),
        ("task.completed", None),
    ]
    assert [event.event_id for event in told] == sorted({event.event_id for event in told})
    assert {event.task_id for event in told} == {task.task_id}
    assert [event.detail["reported"] for event in told if event.kind == "round.reports"] == [1, 2]
    completed = told[6].detail
    assert (completed["assigned"], completed["reported"]) == (2, 2)
    assert completed["metrics"] == population.operator.rounds(task.task_id)[0].metrics


def test_a_reader_goes_on_where_it_was(population: Population) -> None:
    task = population.push(rounds=1, cohort=1)
    trained(population, task, 1)
    told = kept(population, task, 7)
    for event in told[:-1]:
        (_, following) = itertools.islice(population.operator.events(task.task_id, after=event.event_id), 2)
        assert following == told[told.index(event) + 1]
    answer_of_header = raw_stream(population.orchestrator, routes.EVENTS, f"Last-Event-ID: {told[2].event_id}\r\n")
    assert next(event for event in answer_of_header if event.kind != events.OPENED).event_id == told[3].event_id


def raw_stream(orchestrator: Orchestrator, path: str, headers: str = "") -> Iterator[Event]:
    """A stream over a socket of its own."""
    host, port = orchestrator.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        head = f"GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {orchestrator.api_key}\r\n{headers}\r\n"
        connection.sendall(head.encode())
        with connection.makefile("rb") as lines:
            yield from events.read(lines)


def test_without_a_beginning_a_stream_tells_of_what_happens_from_now_on(population: Population) -> None:
    population.push(rounds=1)
    stream = population.operator.events()
    assert next(stream).kind == events.OPENED
    later = population.push(rounds=1)
    assert next(event for event in stream if event.task_id == later.task_id).kind == "task.created"


def test_a_cancelled_task_tells_of_both_ends(population: Population) -> None:
    task = population.push()
    population.operator.cancel(task.task_id)
    population.operator.cancel(task.task_id)
    told = kept(population, task, 4)
    assert [event.kind for event in told[2:]] == ["task.cancelled", "round.cancelled"]
    assert told[3].detail["reason"] == "the task was cancelled"


def test_a_change_that_is_taken_back_is_not_told(own: Orchestrator) -> None:
    def refused(tx: Connection) -> None:
        add_task(tx, RoundPolicy())
        raise RuntimeError("after all not")

    before = own.context.database.read_now(queries.events.kept)
    with pytest.raises(RuntimeError):
        own.context.database.submit(refused).result()
    assert own.context.database.read_now(queries.events.kept) == before


def test_old_events_are_forgotten_and_the_reader_is_told(tx: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries.events, "MOST_KEPT", 10)
    add_task(tx, RoundPolicy())
    for number in range(1000):
        queries.events.add(tx, "round.reports", "task", float(number))
    oldest, newest = queries.events.kept(tx)
    assert 10 <= newest - oldest + 1 <= 1000
    assert oldest > 1


def test_a_reader_that_was_away_too_long_hears_so(own: Orchestrator) -> None:
    task = own.population("garden").push()
    own.context.database.submit(lambda tx: queries.events.forget(tx, 1)).result()
    stream = own.operator.events(task.task_id, after=0)
    assert [event.kind for event in itertools.islice(stream, 2)] == [events.MISSED, "round.selection"]


def test_ids_of_another_database_are_no_hindrance(population: Population) -> None:
    stream = population.operator.events(after=10**9)
    assert next(stream).kind == events.OPENED
    task = population.push()
    assert next(event for event in stream if event.task_id == task.task_id).kind == "task.created"


def test_a_quiet_stream_says_that_it_lives(own: Orchestrator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.api.events._HEARTBEAT_SECONDS", 0.0)
    host, port = own.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        head = f"GET {routes.EVENTS} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {own.api_key}\r\n\r\n"
        connection.sendall(head.encode())
        with connection.makefile("rb") as lines:
            assert any(line + b"\n" == events.HEARTBEAT for line in itertools.islice(lines, 100))


def test_a_server_that_is_told_to_stop_ends_its_streams(own: Orchestrator) -> None:
    stream = raw_stream(own, routes.EVENTS)
    assert next(stream).kind == events.OPENED
    own.loop.call_soon_threadsafe(own.context.draining.set)
    assert list(stream) == []


def test_a_server_serves_so_many_streams_and_no_more(own: Orchestrator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wire.operator._RECONNECTIONS", 0)
    opened = [raw_stream(own, routes.EVENTS) for _ in range(own.context.event_streams._value)]
    assert {next(stream).kind for stream in opened} == {events.OPENED}
    with pytest.raises(OperatorError, match="as many event streams as it may") as refused:
        next(own.operator.events())
    assert refused.value.code == ErrorCode.UNAVAILABLE
    opened.pop().close()  # type: ignore[attr-defined]
    assert until(lambda: _opens(own))


def _opens(own: Orchestrator) -> bool:
    try:
        return next(own.operator.events()).kind == events.OPENED
    except OperatorError:
        return False


def test_a_stream_of_no_task_is_not_found(orchestrator: Orchestrator) -> None:
    with pytest.raises(OperatorError) as refused:
        next(orchestrator.operator.events("nothing"))
    assert refused.value.code == ErrorCode.NOT_FOUND


@pytest.mark.parametrize("goal", [1, 3, 19, 20, 21, 100, 12345])
def test_a_round_tells_of_reports_often_enough_and_never_floods(goal: int) -> None:
    told = [reported for reported in range(1, goal + 1) if is_told(reported, goal)]
    assert len(told) == min(goal, TOLD_OF_REPORTS)
    assert told[-1] == goal


def test_the_command_watches_until_the_end(population: Population, capsys: pytest.CaptureFixture[str]) -> None:
    task = population.push(rounds=2, cohort=1)
    device = population.device()
    device.finish(device.work(), encoded())
    population.round_in(task.task_id, 1, "completed")

    def second_round() -> None:
        time.sleep(0.3)
        population.round_in(task.task_id, 2, "selection")
        device.finish(device.work(), encoded())

    thread = threading.Thread(target=second_round)
    thread.start()
    orchestrator = population.orchestrator
    status = main(["task", "watch", task.task_id, "--url", orchestrator.url, "--api-key", orchestrator.api_key])
    thread.join()
    lines = capsys.readouterr().out.splitlines()
    assert status == 0
    assert [line.split(",")[0] for line in lines[:2]] == ["round 1: completed", "round 2: completed"]
    assert lines[2] == "linear: completed after 2 rounds (2 rounds were completed)"
