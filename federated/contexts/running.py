"""Runs a plan on this machine: the very programs that devices and servers run, clients in parallel threads."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import local
from typing import TypeVar

from federated.contexts import refusals
from federated.contexts.cohort_examples import MemoryExamples
from federated.contexts.simulated_sums import SimulatedSum
from federated.language.errors import ExecutionError
from plans import client, server
from plans.accumulators.work import WorkAccumulator
from plans.bundle import Plan
from plans.errors import PlanError
from plans.manifest import Work
from plans.program import Program
from wire.tensors import Array

_AHEAD = 2  # clients for each thread that are read and not yet summed

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

Cohort = Callable[[], Iterable[dict[str, MemoryExamples]]]
"""Gives the clients' examples anew, client by client, for each phase."""


class PlanRunner:
    """A plan whose programs are loaded once. One thread at a time may call it.

    Args:
        threads: how many clients run at once; None for one a core.
    """

    def __init__(self, plan: Plan, threads: int | None = None) -> None:
        self._plan = plan
        self._server = Program(plan.server)
        self._threads = threads or os.cpu_count() or 1
        # An interpreter must not be called from two threads, so each thread has its own.
        self._clients = local()
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="clients")

    def run(self, work: str, state: Mapping[str, Array], cohort: Cohort, count: int) -> dict[str, Array]:
        """The result's tensors by name, from the server's arguments and the clients' examples.

        Raises:
            ExecutionError: a client, or an aggregation, refused a value, or a program failed.
        """
        carried: dict[str, Array] = {}
        result: dict[str, Array] = {}
        manifest = self._plan.manifest
        try:
            for phase in manifest.phases:
                one = phase.works[work]
                prepared = server.prepare(self._server, manifest, one, state, carried=carried)
                known = {**state, **carried, **prepared.temp}
                totals = self._aggregated(one, prepared.broadcast, known, cohort, count)
                updated = server.update(self._server, manifest, one, state, totals, temp=prepared.temp, carried=carried)
                carried, result = updated.carried, updated.result
        except PlanError as error:
            raise ExecutionError(str(error)) from error
        return result

    def _aggregated(
        self, work: Work, broadcast: Mapping[str, Array], known: Mapping[str, Array], cohort: Cohort, count: int
    ) -> dict[str, Array]:
        accumulator = WorkAccumulator(work, max(count, 1), self._server, SimulatedSum, known=known)
        for number, update in enumerate(self._updates(partial(self._client, work, broadcast), cohort())):
            try:
                accumulator.accumulate(update)
            except PlanError as error:
                if not refusals.is_counted(number, error):
                    raise ExecutionError(f"client {number}: {error}") from error
        return accumulator.finalize()

    def _updates(
        self,
        run: Callable[[int, dict[str, MemoryExamples]], dict[str, Array]],
        cohort: Iterable[dict[str, MemoryExamples]],
    ) -> Iterator[dict[str, Array]]:
        if self._threads == 1:
            return (run(number, examples) for number, examples in enumerate(cohort))
        return _in_order(self._pool, run, cohort, _AHEAD * self._threads)

    def _client(
        self, work: Work, broadcast: Mapping[str, Array], number: int, examples: dict[str, MemoryExamples]
    ) -> dict[str, Array]:
        if not hasattr(self._clients, "program"):
            self._clients.program = Program(self._plan.client)
        try:
            return client.run(self._clients.program, work, broadcast, examples, seed=number).update
        except PlanError as error:
            raise ExecutionError(f"client {number}: {error}") from error


def _in_order(
    pool: ThreadPoolExecutor, run: Callable[[int, _Item], _Result], items: Iterable[_Item], ahead: int
) -> Iterator[_Result]:
    """The results in the order of the items, of which no more than `ahead` are read before they are needed."""
    waiting: deque[Future[_Result]] = deque()
    try:
        for number, item in enumerate(items):
            waiting.append(pool.submit(run, number, item))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for one in waiting:
            one.cancel()
