"""The server's arithmetic: broadcasts before a round, sums and a new checkpoint after it.

All of it can be repeated after a crash: a broadcast is named by its content, sums are exact in any order, and a round
is completed in one transaction that holds its new checkpoint.
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
from plans.accumulators import FixedPointSum
from plans.errors import ContributionError
from plans.program import Program
from wire import tensors
from wire.errors import ErrorCode
from wire.messages import Resource
from wire.tensors import Array

_LOADED_PROGRAMS = 8


@dataclass(frozen=True)
class RoundResult:
    """What a round came to: the new state, where the work makes one, and the metrics."""

    state: Resource | None
    metrics: dict[str, float]


class Aggregator:
    """Runs the server's part of plans. One thread at a time may use it."""

    def __init__(self, store: FolderStore) -> None:
        self._store = store
        self._programs: OrderedDict[str, Program] = OrderedDict()

    def prepare(self, task: TaskRecord, checkpoint: Resource) -> Resource:
        """The broadcast of a task's next round, kept in the store.

        Raises:
            PlanError: the plan's `prepare` failed.
        """
        state = tensors.decode_as(task.manifest.state_specs, self._store.read(checkpoint.sha256))
        broadcast = server.prepare(self._program(task.plan_sha256), task.manifest, task.work, state)
        return self._store.put(tensors.encode(broadcast))

    def aggregate(self, task: TaskRecord, checkpoint: Resource, reports: tuple[AssignmentRecord, ...]) -> RoundResult:
        """The result of a round's reports. Memory holds one update at a time.

        Raises:
            PlanError: an update does not belong into the sum, or the plan's `update` failed.
        """
        metrics = round_metrics.combine(report.metrics for report in reports)
        if task.work.update_state is None:
            return RoundResult(None, metrics)
        state = tensors.decode_as(task.manifest.state_specs, self._store.read(checkpoint.sha256))
        sums = self._sum(task, reports)
        program = self._program(task.plan_sha256)
        new_state, server_metrics = server.update(program, task.manifest, task.work, state, sums)
        return RoundResult(self._store.put(tensors.encode(new_state)), metrics | server_metrics)

    def _sum(self, task: TaskRecord, reports: tuple[AssignmentRecord, ...]) -> dict[str, Array]:
        running = FixedPointSum(task.work, task.policy.cohort)
        for report in reports:
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


def open_round(tx: Connection, task_id: str, reads_round: int, broadcast: Resource, now: float) -> None:
    """Open a task's next round, unless somebody else has, or the task has ended meanwhile."""
    task = queries.task(tx, task_id)
    if task is None or task.state is not TaskState.RUNNING or queries.open_rounds_of(tx, task_id):
        return
    round_number = queries.last_round_number(tx, task_id) + 1
    queries.add_round(tx, str(uuid.uuid4()), task_id, round_number, reads_round, broadcast, now)


def complete_round(tx: Connection, round_: RoundRecord, result: RoundResult, now: float) -> None:
    """Complete a round with its new checkpoint, in one transaction; nothing where it has ended meanwhile."""
    completed = round_clock.end_round(tx, round_, RoundState.COMPLETED, now, metrics=result.metrics)
    if completed and result.state is not None:
        queries.add_checkpoint(tx, round_.task.task_id, round_.round_number, result.state, now)


def fail_round(tx: Connection, round_: RoundRecord, reason: str, now: float) -> None:
    """Fail a round by our own error; the task too, when that happened several times running."""
    round_clock.end_round(tx, round_, RoundState.FAILED, now, reason)
    last = queries.last_states(tx, round_.task.task_id, FAILED_ROUNDS_IN_A_ROW)
    if len(last) == FAILED_ROUNDS_IN_A_ROW and set(last) == {RoundState.FAILED}:
        queries.end_task(tx, round_.task.task_id, TaskState.FAILED, now, reason)
