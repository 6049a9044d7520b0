"""Keeps the rounds going: ticks the round clock, sums what is due, opens what is next.

Everything it does can be done again: killed at any point and started anew, it goes on with the rounds as they are.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from orchestrator.context import Context
from orchestrator.db import queries
from orchestrator.db.records import AssignmentRecord, CheckpointRecord, RoundRecord, TaskRecord
from orchestrator.domain.rounds import RoundState
from orchestrator.domain.tasks import TaskState
from orchestrator.services import aggregation, round_clock
from orchestrator.services.aggregation import Aggregator

log = logging.getLogger(__name__)

T = TypeVar("T")


class Worker:
    """One loop over everything that is due; `run` ends only when it is cancelled."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._aggregator = Aggregator(context.store)
        # One thread: an interpreter must not be called from two.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="aggregation")

    async def run(self) -> None:
        """Work whenever something may be due."""
        while True:
            try:
                worked = await self._pass()
            except Exception:
                # A full disk or a busy database passes; rounds wait for it and nothing is lost.
                log.exception("the rounds could not be moved; trying again")
                worked = False
            if not worked:
                await self._sleep()

    def close(self) -> None:
        """Wait for the sum that is being made."""
        self._thread.shutdown(wait=True)

    async def _sleep(self) -> None:
        try:
            await asyncio.wait_for(self._context.wake.wait(), self._context.settings.tick_seconds)
        except TimeoutError:
            return
        self._context.wake.clear()

    async def _pass(self) -> bool:
        due = await self._write(lambda tx: round_clock.tick(tx, self._context.clock()))
        for round_id in due.to_aggregate:
            await _attempt(self._aggregate(round_id))
        for task in due.to_open:
            await _attempt(self._open_round(task))
        return bool(due.to_aggregate)

    async def _open_round(self, task: TaskRecord) -> None:
        checkpoint = await self._context.database.read(lambda tx: round_clock.base_checkpoint(tx, task))
        if checkpoint is None:
            return
        try:
            start = await self._in_thread(lambda: self._aggregator.prepare(task, checkpoint.resource))
        except Exception as error:
            if _passes(error):
                raise
            reason = f"the broadcast of the next round could not be prepared: {error}"
            log.exception("task %s failed", task.name)
            await self._write(
                lambda tx: queries.tasks.end(tx, task.task_id, TaskState.FAILED, self._context.clock(), reason)
            )
            return
        await self._write(
            lambda tx: aggregation.open_round(tx, task.task_id, checkpoint.round_number, start, self._context.clock())
        )

    async def _aggregate(self, round_id: str) -> None:
        round_, reports, checkpoint = await self._context.database.read(lambda tx: _to_aggregate(tx, round_id))
        if round_ is None or round_.state is not RoundState.AGGREGATION:
            return
        try:
            result = await self._in_thread(lambda: self._aggregator.aggregate(round_, checkpoint.resource, reports))
        except Exception as error:
            if _passes(error):
                raise
            reason = f"the sum or the new state could not be made: {error}"
            log.exception("round %d of %s failed", round_.round_number, round_.task.name)
            await self._write(lambda tx: aggregation.fail_round(tx, round_, reason, self._context.clock()))
            return
        await self._write(lambda tx: aggregation.complete_round(tx, round_, result, self._context.clock()))
        log.info("round %d of %s: completed %s", round_.round_number, round_.task.name, result.metrics)

    async def _write(self, use_case: Callable[[Connection], T]) -> T:
        return await self._context.database.write(use_case)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


async def _attempt(job: Coroutine[None, None, None]) -> None:
    """Run a job so that one that cannot be done now does not hold up the others."""
    try:
        await job
    except Exception:
        log.exception("a round could not be moved; trying again")


def _passes(error: Exception) -> bool:
    """Whether trying again may help, as with a full disk or a busy database; anything else fails its own round."""
    return isinstance(error, (OSError, OperationalError)) and not isinstance(error, FileNotFoundError)


def _to_aggregate(
    tx: Connection, round_id: str
) -> tuple[RoundRecord | None, tuple[AssignmentRecord, ...], CheckpointRecord]:
    round_ = queries.rounds.by_id(tx, round_id)
    assert round_ is not None  # noqa: S101 - rounds are never deleted
    source = round_.task.reads or round_.task.task_id
    (checkpoint,) = (
        kept for kept in queries.checkpoints.of_task(tx, source) if kept.round_number == round_.reads_round
    )
    return round_, queries.assignments.reported_in(tx, round_id), checkpoint
