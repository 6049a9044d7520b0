"""Moves rounds when their time has come. `tick(now)` is a plain function: it has no clock of its own."""

import logging
from dataclasses import dataclass

from sqlalchemy import Connection

from orchestrator.db import queries
from orchestrator.db.records import CheckpointRecord, RoundRecord, TaskRecord
from orchestrator.domain import rounds
from orchestrator.domain.rounds import RoundState
from orchestrator.domain.tasks import TaskState
from wire.messages import Resource

log = logging.getLogger(__name__)

_REASONS_SHOWN = 3


@dataclass(frozen=True)
class Due:
    """What a tick found to be done outside a transaction: sums to make, and broadcasts to prepare."""

    to_aggregate: tuple[str, ...]
    to_open: tuple[TaskRecord, ...]


def tick(tx: Connection, now: float) -> Due:
    """Take every transition that is due, end tasks that are complete, and say what else waits."""
    for round_ in queries.rounds.open_ones(tx):
        advance(tx, round_.round_id, now)
    aggregating = [round_.round_id for round_ in queries.rounds.open_ones(tx) if round_.state is RoundState.AGGREGATION]
    waiting = queries.tasks.running_without_open_round(tx)
    return Due(tuple(aggregating), tuple(task for task in waiting if _wants_round(tx, task, now)))


def advance(tx: Connection, round_id: str, now: float) -> None:
    """Take the transitions of one round that are due at this moment, one after the other."""
    while (round_ := queries.rounds.by_id(tx, round_id)) is not None:
        transition = rounds.due_transition(round_.progress, round_.task.policy, now)
        if transition is None:
            return
        _take(tx, round_, transition, now)


def base_checkpoint(tx: Connection, task: TaskRecord) -> CheckpointRecord | None:
    """The checkpoint that a task's next round starts from; None where there is none yet.

    A task that reads another goes through that one's checkpoints in their order, each once.
    """
    if task.reads is None:
        return queries.checkpoints.latest(tx, task.task_id)
    return queries.checkpoints.first_after(tx, task.reads, queries.rounds.last_read(tx, task.task_id))


def _take(tx: Connection, round_: RoundRecord, transition: rounds.Transition, now: float) -> None:
    match transition.state:
        case RoundState.REPORTING:
            queries.rounds.move(tx, round_.round_id, round_.state, transition.state, now, reporting_since=now)
        case RoundState.AGGREGATION:
            queries.rounds.move(tx, round_.round_id, round_.state, transition.state, now)
            queries.assignments.expire(tx, round_.round_id, now)
        case _:
            given = queries.assignments.reasons_given(tx, round_.round_id, _REASONS_SHOWN)
            end_round(tx, round_, transition.state, now, "; ".join([transition.reason, *given]))
    log.info(
        "round %d of %s: %s %s",
        round_.round_number,
        round_.task.name,
        transition.state,
        transition.reason,
        extra=round_.ids,
    )


def end_round(
    tx: Connection,
    round_: RoundRecord,
    state: RoundState,
    now: float,
    reason: str = "",
    metrics: dict[str, float] | None = None,
    result: Resource | None = None,
) -> bool:
    """End a round; False where it was not in that state any more."""
    ended = queries.rounds.move(
        tx,
        round_.round_id,
        round_.state,
        state,
        now,
        ended_at=now,
        reason=reason[:2000],
        metrics=metrics or {},
        result_sha256=None if result is None else result.sha256,
        result_size_bytes=None if result is None else result.size_bytes,
    )
    if ended:
        queries.assignments.expire(tx, round_.round_id, now)
    return ended


def _wants_round(tx: Connection, task: TaskRecord, now: float) -> bool:
    if queries.rounds.count_completed(tx, task.task_id) >= task.policy.rounds:
        queries.tasks.end(tx, task.task_id, TaskState.COMPLETED, now)
        return False
    if base_checkpoint(tx, task) is not None:
        return True
    if task.reads is not None and _has_ended(tx, task.reads):
        queries.tasks.end(tx, task.task_id, TaskState.COMPLETED, now)
    return False


def _has_ended(tx: Connection, task_id: str) -> bool:
    task = queries.tasks.by_id(tx, task_id)
    return task is None or task.state is not TaskState.RUNNING
