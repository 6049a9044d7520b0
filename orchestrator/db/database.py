"""The database: many readers, one writer.

All writes of a process go through one thread that commits whatever is waiting as one transaction (group commit): an
answer is given only when the disk has it, and one flush pays for many answers. Use cases that share a transaction run
in a savepoint each, so that a refused one leaves no trace in its neighbours' work. Writers of other processes wait for
each other in `engines.begin_writing`, so that a use case may be written as if it were alone.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

from orchestrator.db.engines import begin_writing

T = TypeVar("T")
UseCase = Callable[[Connection], T]

_BATCH = 128


@dataclass(frozen=True)
class _Waiting:
    use_case: UseCase[Any]
    answer: "Future[Any]"


class Database:
    """Runs use cases against one engine; see the module's description. `close` waits for what was already asked."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._ahead_seconds = time.time() - time.monotonic()
        self._waiting: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write_until_closed, name="database-writer", daemon=True)
        self._writer.start()

    def clock(self) -> float:
        """The database's time, UTC seconds since 1970, so that replicas agree on it whatever their own clocks say.

        Asked with every transaction that writes, and carried on from there by a clock that nobody sets.
        """
        return time.monotonic() + self._ahead_seconds

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
                self._ahead_seconds = begin_writing(connection) - time.monotonic()
                run = _run if len(batch) == 1 else _run_in_savepoint
                settled = [run(connection, waiting) for waiting in batch]
        except Exception as error:
            settled = [_settle_error(waiting, error) for waiting in batch]
        for settle in settled:
            settle()


def _run(connection: Connection, waiting: _Waiting) -> Callable[[], None]:
    """Run one use case; its answer is given only after the commit."""
    result = waiting.use_case(connection)
    return lambda: _settle(waiting, lambda: waiting.answer.set_result(result))


def _run_in_savepoint(connection: Connection, waiting: _Waiting) -> Callable[[], None]:
    """`_run`, where others use the transaction too. (SQLAlchemy's own savepoints take three times as long.)"""
    connection.exec_driver_sql("SAVEPOINT use_case")
    try:
        settle = _run(connection, waiting)
    except Exception as error:
        connection.exec_driver_sql("ROLLBACK TO SAVEPOINT use_case")
        settle = _settle_error(waiting, error)
    connection.exec_driver_sql("RELEASE SAVEPOINT use_case")
    return settle


def _settle_error(waiting: _Waiting, error: Exception) -> Callable[[], None]:
    return lambda: _settle(waiting, lambda: waiting.answer.set_exception(error))


def _settle(waiting: _Waiting, settle: Callable[[], None]) -> None:
    # The work is done whether or not the caller still waits.
    if not waiting.answer.cancelled() and waiting.answer.set_running_or_notify_cancel():
        settle()
