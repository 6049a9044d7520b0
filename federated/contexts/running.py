"""Runs a plan on this machine: the very programs that devices and servers run, clients in parallel threads."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import local
from typing import TypeVar

import numpy as np

from federated.contexts import refusals
from federated.contexts.cohort_examples import MemoryExamples
from federated.contexts.simulated_sums import SimulatedSum
from federated.language.errors import ExecutionError
from federated.language.kept import KeptStates
from plans import client, server
from plans.accumulators.work import WorkAccumulator
from plans.bundle import Plan
from plans.client import ClientResult
from plans.errors import ContributionError, PlanError
from plans.manifest import Work
from plans.program import Program
from wire.errors import ErrorCode
from wire.tensors import Array, specs_of

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

    def run(
        self, work: str, state: Mapping[str, Array], cohort: Cohort, count: int, kept: KeptStates
    ) -> dict[str, Array]:
        """The result's tensors by name, from the server's arguments and the clients' examples.

        Args:
            kept: what the clients keep; as on a device, one whose update is accepted keeps its new state.

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
                for array in prepared.broadcast.values():
                    array.flags.writeable = False  # so that it need not go into a program for every client anew
                known = {**state, **carried, **prepared.temp}
                totals = self._aggregated(one, prepared.broadcast, known, cohort, count, kept)
                updated = server.update(self._server, manifest, one, state, totals, temp=prepared.temp, carried=carried)
                carried, result = updated.carried, updated.result
        except PlanError as error:
            raise ExecutionError(str(error)) from error
        return result

    def _aggregated(
        self,
        work: Work,
        broadcast: Mapping[str, Array],
        known: Mapping[str, Array],
        cohort: Cohort,
        count: int,
        kept: KeptStates,
    ) -> dict[str, Array]:
        accumulator = WorkAccumulator(work, max(count, 1), self._server, SimulatedSum, known=known)
        for number, result in enumerate(self._results(partial(self._client, work, broadcast, kept), cohort())):
            try:
                _refuse_not_finite(result.device_state)
                accumulator.accumulate(result.update)
            except PlanError as error:
                if not refusals.is_counted(number, error):
                    raise ExecutionError(f"client {number}: {error}") from error
                continue
            if work.device_state:
                kept.keep(number, result.device_state)
        return accumulator.finalize()

    def _results(
        self,
        run: Callable[[int, dict[str, MemoryExamples]], ClientResult],
        cohort: Iterable[dict[str, MemoryExamples]],
    ) -> Iterator[ClientResult]:
        if self._threads == 1:
            return (run(number, examples) for number, examples in enumerate(cohort))
        return _in_order(self._pool, run, cohort, _AHEAD * self._threads)

    def _client(
        self,
        work: Work,
        broadcast: Mapping[str, Array],
        kept: KeptStates,
        number: int,
        examples: dict[str, MemoryExamples],
    ) -> ClientResult:
        if not hasattr(self._clients, "program"):
            self._clients.program = Program(self._plan.client)
        try:
            before = kept_of(work, kept.before(number)) if work.device_state else None
            return client.run(self._clients.program, work, broadcast, examples, seed=number, device_state=before)
        except PlanError as error:
            raise ExecutionError(f"client {number}: {error}") from error


def kept_of(work: Work, state: Mapping[str, Array] | None) -> Mapping[str, Array] | None:
    """What a client kept, if it is what the work keeps now; else it begins anew, as a device does."""
    return state if state is not None and specs_of(state) == work.device_state_specs else None


def _refuse_not_finite(state: Mapping[str, Array]) -> None:
    for name, array in state.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ContributionError(
                ErrorCode.NOT_FINITE, f"the state {name!r}, which the client would keep, is not finite"
            )


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
