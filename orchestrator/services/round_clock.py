"""Moves rounds when their time has come. `tick(now)` is a plain function: it has no clock of its own."""

import logging
from dataclasses import dataclass

from sqlalchemy import Connection

from orchestrator.db import queries
from orchestrator.db.records import CheckpointRecord, RoundRecord, TaskRecord
from orchestrator.domain import retention, rounds, sums, tasks
from orchestrator.domain.rounds import RoundState
from orchestrator.domain.tasks import TaskState
from orchestrator.services import asynchronous
from wire.messages import Resource

log = logging.getLogger(__name__)

_REASONS_SHOWN = 3
_ABANDONED_LOOKED_AT = 30  # enough doublings of a second for every deadline


@dataclass(frozen=True)
class Due:
    """What a tick found to be done outside a transaction: rounds with sums to make, and broadcasts to prepare."""

    to_sum: tuple[str, ...]
    to_open: tuple[TaskRecord, ...]


def tick(tx: Connection, now: float) -> Due:
    """Take every transition that is due, end tasks that are complete, and say what else waits."""
    for task in queries.tasks.open_ones(tx):
        if task.policy.is_asynchronous:
            asynchronous.expire_overdue(tx, task, now)
    for round_ in queries.rounds.open_ones(tx):
        if not _is_too_late_for(tx, round_, now):
            advance(tx, round_.round_id, now)
    open_rounds = queries.rounds.open_ones(tx)
    to_sum = [round_.round_id for round_ in open_rounds if sums.may_be_due(round_.progress, round_.sharded)]
    waiting = queries.tasks.running_without_open_round(tx)
    return Due(tuple(to_sum), tuple(task for task in waiting if _wants_round(tx, task, now)))


def advance(tx: Connection, round_id: str, now: float) -> RoundRecord:
    """Take the transitions of one round that are due at this moment, one after the other; gives it as it then is."""
    while True:
        round_ = queries.rounds.by_id(tx, round_id)
        assert round_ is not None  # noqa: S101 - rounds are never deleted
        transition = rounds.due_transition(
            round_.progress, round_.task.policy, now, others_may_come=_others_may_come(tx, round_, now)
        )
        if transition is None:
            return round_
        _take(tx, round_, transition, now)


def base_checkpoint(tx: Connection, task: TaskRecord) -> CheckpointRecord | None:
    """The checkpoint that a task's next round starts from; None where there is none yet.

    A task that reads another goes through that one's checkpoints in their order, each once.
    """
    if task.reads is None:
        return queries.checkpoints.latest(tx, task.task_id)
    last = queries.rounds.last_read(tx, task.task_id)
    return queries.checkpoints.first_after(tx, task.reads, last, task.policy.read_every)


def _others_may_come(tx: Connection, round_: RoundRecord, now: float) -> bool:
    return not rounds.is_deserted(round_.progress) or queries.devices.any_besides(
        tx, round_.task.population, round_.round_id, now
    )


def _is_too_late_for(tx: Connection, round_: RoundRecord, now: float) -> bool:
    """End a round that nobody has come to, or that nobody works for, where its task's time is over."""
    task = round_.task
    if not rounds.is_left_by_all(round_.progress, task.policy) or not tasks.time_is_over(
        task.policy, task.created_at, now
    ):
        return False
    return end_round(tx, round_, RoundState.CANCELLED, now, "the task's time is over")


def _take(tx: Connection, round_: RoundRecord, transition: rounds.Transition, now: float) -> None:
    match transition.state:
        case RoundState.REPORTING:
            queries.rounds.move(tx, round_.round_id, round_.state, transition.state, now, reporting_since=now)
        case RoundState.AGGREGATION:
            queries.rounds.move(tx, round_.round_id, round_.state, transition.state, now)
            _expire_left_out(tx, round_, now)
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


def _expire_left_out(tx: Connection, round_: RoundRecord, now: float) -> None:
    """End the assignments whose reports would come too late for every round to come."""
    task = round_.task
    if not task.policy.is_asynchronous:
        queries.assignments.expire(tx, round_.round_id, now)
    else:
        asynchronous.expire_too_stale(tx, task, round_.round_number + 1, now)


def end_round(
    tx: Connection,
    round_: RoundRecord,
    state: RoundState,
    now: float,
    reason: str = "",
    metrics: dict[str, float] | None = None,
    result: Resource | None = None,
) -> bool:
    """End a round; False where it was not in that state any more.

    An asynchronous one that is cancelled, as its task ends or goes back, ends all that its task's devices do.
    """
    is_asynchronous = round_.task.policy.is_asynchronous
    if is_asynchronous and state is RoundState.CANCELLED:
        asynchronous.drop_all(tx, round_, now)
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
    if ended and not is_asynchronous:
        queries.assignments.expire(tx, round_.round_id, now)
    return ended


def end_task(
    tx: Connection, task_id: str, state: TaskState, now: float, failure: str = "", completed_because: str = ""
) -> bool:
    """End a task, and what its devices do; False where it had ended already."""
    ended = queries.tasks.end(tx, task_id, state, now, failure, completed_because)
    if ended:
        queries.assignments.expire_of_task(tx, task_id, now)
    return ended


def _wants_round(tx: Connection, task: TaskRecord, now: float) -> bool:
    _forget_checkpoints(tx, task)
    reason = _completed_because(tx, task, now)
    if reason is None and base_checkpoint(tx, task) is not None:
        return _has_rested(tx, task, now)
    if reason is None and task.reads is not None and _has_ended(tx, task.reads):
        reason = "the task that it reads has ended"
    if reason is not None:
        end_task(tx, task.task_id, TaskState.COMPLETED, now, completed_because=reason)
        log.info("task %s is completed: %s", task.name, reason)
    return False


def _completed_because(tx: Connection, task: TaskRecord, now: float) -> str | None:
    stop = task.policy.stop_when
    return tasks.completed_because(
        task.policy,
        queries.rounds.count_completed(tx, task.task_id),
        [] if stop is None else queries.rounds.newest_metrics(tx, task.task_id, stop.rounds),
        task.created_at,
        now,
    )


def _has_rested(tx: Connection, task: TaskRecord, now: float) -> bool:
    """Whether a task's next round may begin, which waits where the last ones were abandoned."""
    rest = rounds.rest_seconds(queries.rounds.last_states(tx, task.task_id, _ABANDONED_LOOKED_AT), task.policy)
    return not rest or now >= (queries.rounds.last_ended_at(tx, task.task_id) or now) + rest


def _forget_checkpoints(tx: Connection, task: TaskRecord) -> None:
    """Keep no more checkpoints than the task's policy says, and those that a task which reads them still needs."""
    if task.policy.keep_last is None:
        return
    kept = queries.checkpoints.all_of_task(tx, task.task_id)
    latest = max((one.round_number for one in kept), default=0)
    read = (queries.rounds.last_read(tx, reader) + 1 for reader in queries.tasks.readers(tx, task.task_id))
    going = retention.expendable(
        [one.round_number for one in kept],
        set(queries.labels.of_task(tx, task.task_id)),
        min((latest, *read)),
        task.policy,
    )
    if going:
        queries.checkpoints.forget(tx, task.task_id, going)


def _has_ended(tx: Connection, task_id: str) -> bool:
    task = queries.tasks.by_id(tx, task_id)
    return task is None or task.state not in tasks.OPEN
