"""The server's arithmetic: broadcasts before a round, sums and a new checkpoint after it.

All of it can be repeated after a crash: a broadcast is named by its content, sums are exact in any order, and a round
is completed in one transaction that holds its new checkpoint. Noise is drawn anew when an aggregation is repeated, and
only the one whose transaction is committed is ever seen.
"""

import uuid
from collections import OrderedDict
from dataclasses import dataclass

from sqlalchemy import Connection

from orchestrator.db import queries
from orchestrator.db.records import AssignmentRecord, RoundRecord, TaskRecord
from orchestrator.domain import metrics as round_metrics
from orchestrator.domain.rounds import RoundState
from orchestrator.domain.tasks import FAILED_ROUNDS_IN_A_ROW, TaskState
from orchestrator.services import round_clock
from orchestrator.storage import FolderStore
from plans import bundle, server
from plans.accumulators.work import WorkAccumulator
from plans.errors import ContributionError
from plans.program import Program
from wire import tensors
from wire.errors import ErrorCode
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

    def __init__(self, store: FolderStore) -> None:
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

    def aggregate(
        self, round_: RoundRecord, checkpoint: Resource, reports: tuple[AssignmentRecord, ...]
    ) -> RoundResult:
        """The result of a round's reports. Memory holds one update at a time.

        Raises:
            PlanError: an update does not belong into the sum, or the plan's `update_state` failed.
        """
        task = round_.task
        metrics = round_metrics.combine(report.metrics for report in reports)
        if task.work.update_state is None:
            return RoundResult(None, None, metrics)
        state = tensors.decode_as(task.manifest.state_specs, self._store.read(checkpoint.sha256))
        temp = self._temp(round_)
        updated = server.update(
            self._program(task.plan_sha256),
            task.manifest,
            task.work,
            state,
            self._accumulated(task, reports, known={**state, **temp}),
            temp=temp,
        )
        result = self._store.put(tensors.encode(updated.result)) if task.work.result else None
        return RoundResult(self._store.put(tensors.encode(updated.state)), result, metrics | updated.metrics)

    def _temp(self, round_: RoundRecord) -> dict[str, Array]:
        if round_.temp is None:
            return {}
        return tensors.decode_as(round_.task.work.temp_specs, self._store.read_temp(round_.temp.sha256))

    def _accumulated(self, task: TaskRecord, reports: tuple[AssignmentRecord, ...], known: Tensors) -> dict[str, Array]:
        running = WorkAccumulator(task.work, task.policy.cohort, self._program(task.plan_sha256), known=known)
        for report in reports if task.work.update else ():
            data = self._store.update_path(report.assignment_id, report.update_sha256 or "").read_bytes()
            if bundle.digest(data) != report.update_sha256:
                raise ContributionError(
                    ErrorCode.DIGEST_MISMATCH, f"the update of assignment {report.assignment_id} changed on the disk"
                )
            running.accumulate(tensors.decode_as(task.work.update_specs, data))
        return running.finalize()

    def _program(self, plan_sha256: str) -> Program:
        if plan_sha256 not in self._programs:
            self._programs[plan_sha256] = Program(bundle.unpack(self._store.read(plan_sha256)).server)
            if len(self._programs) > _LOADED_PROGRAMS:
                self._programs.popitem(last=False)
        self._programs.move_to_end(plan_sha256)
        return self._programs[plan_sha256]


def open_round(tx: Connection, task_id: str, reads_round: int, start: RoundStart, now: float) -> None:
    """Open a task's next round, unless somebody else has, or the task has ended meanwhile."""
    task = queries.task(tx, task_id)
    if task is None or task.state is not TaskState.RUNNING or queries.open_rounds_of(tx, task_id):
        return
    round_number = queries.last_round_number(tx, task_id) + 1
    queries.add_round(
        tx,
        str(uuid.uuid4()),
        task_id,
        round_number,
        reads_round=reads_round,
        broadcast=start.broadcast,
        temp=start.temp,
        now=now,
    )


def complete_round(tx: Connection, round_: RoundRecord, result: RoundResult, now: float) -> None:
    """Complete a round with its checkpoint and its result, in one transaction; nothing where it has ended meanwhile."""
    completed = round_clock.end_round(
        tx, round_, RoundState.COMPLETED, now, metrics=result.metrics, result=result.result
    )
    if completed and result.state is not None:
        queries.add_checkpoint(tx, round_.task.task_id, round_.round_number, result.state, now)


def fail_round(tx: Connection, round_: RoundRecord, reason: str, now: float) -> None:
    """Fail a round by our own error; the task too, when that happened several times running."""
    round_clock.end_round(tx, round_, RoundState.FAILED, now, reason)
    last = queries.last_states(tx, round_.task.task_id, FAILED_ROUNDS_IN_A_ROW)
    if len(last) == FAILED_ROUNDS_IN_A_ROW and set(last) == {RoundState.FAILED}:
        queries.end_task(tx, round_.task.task_id, TaskState.FAILED, now, reason)
