"""One writer commits many use cases at once: each is whole or not there, and is answered when the disk has it."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import pytest
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError

from orchestrator.db import queries
from orchestrator.db.database import Database
from tests.orchestrator.rows import population_names


@pytest.fixture
def database(engine: Engine) -> Iterator[Database]:
    opened = Database(engine)
    yield opened
    opened.close()


def add(name: str) -> Callable[[Connection], str]:
    """A use case that makes a population."""

    def use_case(tx: Connection) -> str:
        queries.populations.add(tx, name, 0.0)
        return name

    return use_case


def names(database: Database) -> list[str]:
    return database.read_now(population_names)


class RefusedError(Exception):
    pass


def add_and_refuse(tx: Connection) -> None:
    queries.populations.add(tx, "refused", 0.0)
    raise RefusedError


class Gate:
    """Holds the writer inside a use case, so that what is asked meanwhile waits and is committed together."""

    def __init__(self, database: Database) -> None:
        self._entered, self._leave = threading.Event(), threading.Event()
        self.passed: Future[None] = database.submit(self._wait)
        assert self._entered.wait(10)

    def _wait(self, _: Connection) -> None:
        self._entered.set()
        assert self._leave.wait(10)

    def open(self) -> None:
        self._leave.set()


def test_a_use_case_that_fails_leaves_its_neighbours_intact(database: Database) -> None:
    gate = Gate(database)
    before, refused, clash, after = (
        database.submit(use_case) for use_case in (add("before"), add_and_refuse, add("before"), add("after"))
    )
    gate.open()
    assert (before.result(10), after.result(10)) == ("before", "after")
    with pytest.raises(RefusedError):
        refused.result(10)
    with pytest.raises(IntegrityError):
        clash.result(10)
    assert names(database) == ["after", "before"]


def test_an_answer_comes_only_after_the_commit(database: Database, engine: Engine) -> None:
    """Whoever hears the answer finds the row over a connection of its own."""
    seen: list[bool] = []

    def look(_: "Future[str]") -> None:
        with engine.connect() as connection:
            seen.append(queries.populations.exists(connection, "one"))

    gate = Gate(database)
    answer = database.submit(add("one"))
    answer.add_done_callback(look)
    last = database.submit(add("two"))
    assert names(database) == []
    gate.open()
    last.result(10)
    assert seen == [True]


def test_what_waits_is_committed_together(database: Database, engine: Engine) -> None:
    """All use cases of a batch see each other, and nobody outside sees any of them before the commit."""
    gate = Gate(database)
    inside = threading.Event()
    leave = threading.Event()

    def hold(tx: Connection) -> int:
        inside.set()
        assert leave.wait(10)
        return len(population_names(tx))

    for name in ("one", "two"):
        database.submit(add(name))
    held = database.submit(hold)
    gate.open()
    assert inside.wait(10)
    assert names(database) == []
    leave.set()
    assert held.result(10) == 2
    assert names(database) == ["one", "two"]


def test_many_writers_lose_nothing(database: Database) -> None:
    def write_some(writer: int) -> None:
        for number in range(20):
            database.submit(add(f"{writer}-{number:02}")).result(10)

    threads = [threading.Thread(target=write_some, args=(writer,)) for writer in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names(database)) == 160


def test_a_use_case_runs_alone(database: Database) -> None:
    """Reading and then writing in one use case needs no lock: nobody comes between."""

    def add_next(tx: Connection) -> None:
        queries.populations.add(tx, str(len(population_names(tx))), 0.0)

    for answer in [database.submit(add_next) for _ in range(200)]:
        answer.result(60)
    assert sorted(names(database), key=int) == [str(number) for number in range(200)]


def test_closing_finishes_what_was_asked(engine: Engine) -> None:
    database = Database(engine)
    answers = [database.submit(add(f"{number:03}")) for number in range(300)]
    database.close()
    assert all(answer.done() for answer in answers)
    with engine.connect() as connection:
        assert len(population_names(connection)) == 300


def test_a_caller_that_stopped_waiting_disturbs_nobody(database: Database) -> None:
    gate = Gate(database)
    gone, stays = database.submit(add("gone")), database.submit(add("stays"))
    assert gone.cancel()
    gate.open()
    assert stays.result(10) == "stays"


def test_the_event_loop_waits_without_blocking(database: Database) -> None:
    async def write_and_read() -> tuple[list[str], int]:
        written = await asyncio.gather(*(database.write(add(str(number))) for number in range(10)))
        return written, len(await database.read(population_names))

    assert asyncio.run(write_and_read()) == ([str(number) for number in range(10)], 10)


def test_a_query_changes_nothing_even_if_it_writes(database: Database) -> None:
    database.read_now(add("forgotten"))
    assert names(database) == []
