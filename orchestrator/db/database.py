"""The database: many readers, one writer.

All writes go through one thread that commits whatever is waiting as one transaction (group commit): with
`synchronous=FULL` an answer is given only when the disk has it, and one flush pays for many answers. Each use case
runs in its own savepoint, so that a refused one leaves no trace in its neighbours' transaction.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

T = TypeVar("T")
UseCase = Callable[[Connection], T]

_BATCH = 128
_BUSY_SECONDS = 30.0


def sqlite_engine(path: str) -> Engine:
    """An engine on a SQLite file, with write-ahead logging and every commit flushed.

    WAL with `synchronous=NORMAL` would lose acknowledged rows on a power cut; FULL does not.
    """
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def configure(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        assert isinstance(connection, sqlite3.Connection)  # noqa: S101 - for the type checker
        connection.isolation_level = None  # SQLAlchemy says BEGIN, not the driver, so that savepoints work
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


@dataclass(frozen=True)
class _Waiting:
    use_case: UseCase[Any]
    answer: "Future[Any]"


class Database:
    """Runs use cases against one engine; see the module's description. `close` waits for what was already asked."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write_until_closed, name="database-writer", daemon=True)
        self._writer.start()

    async def write(self, use_case: UseCase[T]) -> T:
        """Run a use case that changes something, and return when the change is durable."""
        return await asyncio.wrap_future(self.submit(use_case))

    def submit(self, use_case: UseCase[T]) -> "Future[T]":
        """`write`, for callers outside the event loop."""
        answer: Future[T] = Future()
        self._waiting.put(_Waiting(use_case, answer))
        return answer

    async def read(self, query: UseCase[T]) -> T:
        """Run a query that changes nothing."""
        return await asyncio.to_thread(self.read_now, query)

    def read_now(self, query: UseCase[T]) -> T:
        """`read`, for callers outside the event loop."""
        with self._engine.connect() as connection:
            return query(connection)

    def waiting(self) -> int:
        """How many use cases wait for the writer."""
        return self._waiting.qsize()

    def close(self) -> None:
        """Finish what was asked, and let go of the files."""
        self._waiting.put(None)
        self._writer.join()
        self._engine.dispose()

    def _write_until_closed(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch, closing = [first], False
            while len(batch) < _BATCH and not self._waiting.empty():
                following = self._waiting.get()
                if following is None:
                    closing = True
                    break
                batch.append(following)
            self._commit(batch)
            if closing:
                return

    def _commit(self, batch: list[_Waiting]) -> None:
        settled: list[Callable[[], None]] = []
        try:
            with self._engine.begin() as connection:
                settled = [_run_in_savepoint(connection, waiting) for waiting in batch]
        except Exception as error:
            settled = [_settle_error(waiting, error) for waiting in batch]
        for settle in settled:
            settle()


def _run_in_savepoint(connection: Connection, waiting: _Waiting) -> Callable[[], None]:
    """Run one use case; its answer is given only after the commit."""
    try:
        with connection.begin_nested():
            result = waiting.use_case(connection)
    except Exception as error:
        return _settle_error(waiting, error)
    return lambda: _settle(waiting, lambda: waiting.answer.set_result(result))


def _settle_error(waiting: _Waiting, error: Exception) -> Callable[[], None]:
    return lambda: _settle(waiting, lambda: waiting.answer.set_exception(error))


def _settle(waiting: _Waiting, settle: Callable[[], None]) -> None:
    # The work is done whether or not the caller still waits.
    if not waiting.answer.cancelled() and waiting.answer.set_running_or_notify_cancel():
        settle()
