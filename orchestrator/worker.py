"""Keeps the rounds going: ticks the round clock, sums what is due, opens what is next.

Everything it does can be done again: killed at any point and started anew, it goes on with the rounds as they are. Any
number of workers share a database: each sum is claimed by one, and of a broadcast that two prepare one is taken.
"""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from orchestrator.context import WorkerContext
from orchestrator.db.records import TaskRecord
from orchestrator.domain.sums import RENEWAL_SECONDS
from orchestrator.domain.tasks import TaskState
from orchestrator.logs import Trouble
from orchestrator.services import chores, round_clock
from orchestrator.services.aggregation import Aggregator
from orchestrator.services.chores import Claim, ClosingClaim, ShardClaim
from orchestrator.tracing import Spans
from plans import freed_memory

log = logging.getLogger(__name__)

T = TypeVar("T")


class Worker:
    """One loop over everything that is due; `run` ends only when it is cancelled.

    Args:
        spans: told of every chore.
    """

    def __init__(self, context: WorkerContext, spans: Spans) -> None:
        self._context = context
        self._spans = spans
        self._trouble, self._trouble_with_one = Trouble(log), Trouble(log)
        self._name = f"{socket.gethostname()[:80]}-{os.getpid()}"
        self._aggregator = Aggregator(context.store)
        # One thread: an interpreter must not be called from two.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="aggregation")

    async def run(self) -> None:
        """Work whenever something may be due."""
        while True:
            try:
                worked = await self._pass()
            except Exception as error:
                # A full disk or a busy database passes; rounds wait for it and nothing is lost.
                self._trouble.tell("the rounds could not be moved; trying again", error)
                worked = False
            if not worked:
                await self._sleep()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        """Work beside something else, and end with it, when the sum that is being made is made."""
        task = asyncio.create_task(self.run(), name="worker")
        try:
            yield task
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await asyncio.to_thread(self._thread.shutdown)

    async def _sleep(self) -> None:
        try:
            await asyncio.wait_for(self._context.wake.wait(), self._context.settings.tick_seconds)
        except TimeoutError:
            return
        self._context.wake.clear()

    async def _pass(self) -> bool:
        due = await self._write(lambda tx: round_clock.tick(tx, self._context.clock()))
        worked = [await self._attempt(self._do_chore_of(round_id)) for round_id in due.to_sum]
        for task in due.to_open:
            await self._attempt(self._open_round(task))
        return any(worked)

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
            log.exception("task %s failed", task.name, extra={"task_id": task.task_id})
            await self._write(
                lambda tx: round_clock.end_task(tx, task.task_id, TaskState.FAILED, self._context.clock(), reason)
            )
            return
        await self._write(
            lambda tx: chores.open_round(tx, task.task_id, checkpoint.round_number, start, self._context.clock())
        )

    async def _do_chore_of(self, round_id: str) -> bool:
        """Claim and do something of a round's sum; False where there is nothing, or it could not be done."""
        claimed = await self._write(lambda tx: chores.claim(tx, round_id, self._name, self._context.clock()))
        if claimed is None:
            return False
        renewing = asyncio.create_task(self._renew(claimed))
        try:
            await self._in_thread(freed_memory.give_back)
            with self._context.metrics.aggregation_seconds.time(), self._spans.span(claimed.name, claimed.round.ids):
                await self._do(claimed)
        except Exception as error:
            if _passes(error):
                renewing.cancel()
                with contextlib.suppress(SQLAlchemyError):  # else the claim is good until its lease ends
                    await self._write(lambda tx: chores.let_go(tx, claimed, self._context.clock()))
                raise
            reason = f"the sum or the new state could not be made: {error}"
            ids = claimed.round.ids
            log.exception("round %d of %s failed", claimed.round.round_number, claimed.round.task.name, extra=ids)
            await self._write(lambda tx: chores.fail_round(tx, claimed, reason, self._context.clock()))
        finally:
            renewing.cancel()
            await self._in_thread(freed_memory.give_back)
        return True

    async def _do(self, claimed: Claim) -> None:
        round_, work = claimed.round, self._aggregator
        match claimed:
            case ShardClaim():
                partial_sum = await self._in_thread(
                    lambda: work.sum_shard(round_, claimed.checkpoint.resource, claimed.contributions)
                )
                await self._write(lambda tx: chores.settle_shard(tx, claimed, partial_sum))
            case ClosingClaim():
                sums = [shard.sum for shard in claimed.shards if shard.sum is not None]
                result = await self._in_thread(
                    lambda: work.close(round_, claimed.checkpoint.resource, sums, claimed.rest, claimed.reports)
                )
                if await self._write(lambda tx: chores.complete_round(tx, claimed, result, self._context.clock())):
                    said = "round %d of %s: completed %s"
                    log.info(said, round_.round_number, round_.task.name, result.metrics, extra=round_.ids)

    async def _renew(self, claimed: Claim) -> None:
        """Hold a claim while its chore is done, so that nobody takes it for abandoned."""
        while True:
            await asyncio.sleep(RENEWAL_SECONDS)
            with contextlib.suppress(SQLAlchemyError):  # the next time, or the claim is lost, which is harmless
                await self._write(lambda tx: chores.renew(tx, claimed, self._context.clock()))

    async def _attempt(self, job: Coroutine[None, None, T]) -> T | None:
        """Run a job so that one that cannot be done now does not hold up the others."""
        try:
            return await job
        except Exception as error:
            self._trouble_with_one.tell("a round could not be moved; trying again", error)
            return None

    async def _write(self, use_case: Callable[[Connection], T]) -> T:
        return await self._context.database.write(use_case)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _passes(error: Exception) -> bool:
    """Whether trying again may help, as with a full disk or a busy database; anything else fails its own round."""
    return isinstance(error, (OSError, OperationalError)) and not isinstance(error, FileNotFoundError)
