"""The server's arithmetic: broadcasts before a round, sums while and after it is held, and the new state.

All of it can be repeated after a crash: what it makes is named by its content, and sums are exact in any order. Noise
is drawn anew when a round is closed again, and only the one whose transaction is committed is ever seen.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orchestrator.db.records import ContributionRecord, RoundRecord, TaskRecord
from orchestrator.domain import metrics as round_metrics
from orchestrator.storage.protocol import Store
from plans import bundle, server
from plans.accumulators.staleness import staleness_weight, weighed
from plans.accumulators.work import WorkAccumulator
from plans.program import Program
from wire import tensors
from wire.messages import Resource
from wire.tensors import Array, Tensors

_LOADED_PROGRAMS = 8


@dataclass(frozen=True)
class RoundStart:
    """What a round begins with: the broadcast, and what its `update_state` alone gets, if it gets anything."""

    broadcast: Resource
    temp: Resource | None


@dataclass(frozen=True)
class RoundResult:
    """What a round came to: the new state and the typed result, where the work makes them, and the metrics."""

    state: Resource | None
    result: Resource | None
    metrics: dict[str, float]


class Aggregator:
    """Runs the server's part of plans. One thread at a time may use it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._programs: OrderedDict[str, Program] = OrderedDict()

    def prepare(self, task: TaskRecord, checkpoint: Resource) -> RoundStart:
        """What a task's next round begins with, kept in the store.

        Raises:
            PlanError: the plan's `prepare` failed.
        """
        state = tensors.decode_as(task.manifest.state_specs, self._store.read(checkpoint.sha256))
        prepared = server.prepare(self._program(task.plan_sha256), task.manifest, task.work, state)
        temp = self._store.put_temp(tensors.encode(prepared.temp)) if prepared.temp else None
        return RoundStart(self._store.put(tensors.encode(prepared.broadcast)), temp)

    def sum_shard(
        self, round_: RoundRecord, checkpoint: Resource, contributions: Iterable[ContributionRecord]
    ) -> Resource:
        """The partial sum of some updates, kept in the store. Memory holds one update at a time.

        Raises:
            PlanError: an update does not belong into the sum.
        """
        running = self._accumulator(round_, self._state(round_, checkpoint) | self._temp(round_))
        self._accumulate(round_.task, running, contributions)
        return self._store.put_temp(running.encode())

    def close(
        self,
        round_: RoundRecord,
        checkpoint: Resource,
        partial_sums: Iterable[Resource],
        rest: Iterable[ContributionRecord],
        reports: Sequence[ContributionRecord],
    ) -> RoundResult:
        """The result of a round, of the sums of its shards and what is in none. Memory holds one of them at a time.

        Args:
            reports: all that the round counts.

        Raises:
            PlanError: an update does not belong into the sum, or the plan's `update_state` failed.
        """
        task = round_.task
        metrics = round_metrics.combine(one.metrics for one in reports)
        if task.work.update_state is None:
            return RoundResult(None, None, metrics)
        state = self._state(round_, checkpoint)
        temp = self._temp(round_)
        running = self._accumulator(round_, state | temp)
        for partial_sum in partial_sums:
            running.merge_encoded(self._store.read_temp(partial_sum.sha256))
        self._accumulate(task, running, rest)
        updated = server.update(
            self._program(task.plan_sha256),
            task.manifest,
            task.work,
            state,
            running.finalize(),
            temp=temp,
        )
        result = self._store.put(tensors.encode(updated.result)) if task.work.result else None
        metrics |= updated.metrics
        if task.policy.is_asynchronous:
            metrics |= round_metrics.of_staleness([one.staleness for one in reports])
        return RoundResult(self._store.put(tensors.encode(updated.state)), result, metrics)

    def _accumulator(self, round_: RoundRecord, known: Tensors) -> WorkAccumulator:
        task = round_.task
        return WorkAccumulator(task.work, task.policy.cohort, self._program(task.plan_sha256), known=known)

    def _state(self, round_: RoundRecord, checkpoint: Resource) -> dict[str, Array]:
        return tensors.decode_as(round_.task.manifest.state_specs, self._store.read(checkpoint.sha256))

    def _accumulate(
        self, task: TaskRecord, running: WorkAccumulator, contributions: Iterable[ContributionRecord]
    ) -> None:
        for one in contributions if task.work.update else ():
            update = Resource(one.update_sha256 or "", task.work.update_size_bytes)
            data = self._store.read_update(one.assignment_id, update)
            values = tensors.decode_as(task.work.update_specs, data)
            # Nothing is stale in rounds that wait for their devices, so all of them count in full.
            weight = staleness_weight(one.staleness, task.policy.staleness_exponent)
            running.accumulate(weighed(task.work, values, weight))

    def _temp(self, round_: RoundRecord) -> dict[str, Array]:
        if round_.temp is None:
            return {}
        return tensors.decode_as(round_.task.work.temp_specs, self._store.read_temp(round_.temp.sha256))

    def _program(self, plan_sha256: str) -> Program:
        if plan_sha256 not in self._programs:
            self._programs[plan_sha256] = Program(bundle.unpack(self._store.read(plan_sha256)).server)
            if len(self._programs) > _LOADED_PROGRAMS:
                self._programs.popitem(last=False)
        self._programs.move_to_end(plan_sha256)
        return self._programs[plan_sha256]
