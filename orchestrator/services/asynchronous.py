"""Asynchronous rounds, where they differ: devices report in later rounds than theirs, and do not end with it.

Which round counts a report is settled with the report, or, for one that came while no round was open, with the next
round's beginning. It never changes afterwards, and who sums the round reads it from the database.
"""

from sqlalchemy import Connection

from orchestrator.db import queries
from orchestrator.db.records import RoundRecord, TaskRecord
from orchestrator.domain import rounds
from orchestrator.domain.assignments import AssignmentState


def counting_round(tx: Connection, selected_by: RoundRecord) -> RoundRecord | None:
    """The round in which a device's assignment ends; None where it waits for the next one."""
    if not selected_by.task.policy.is_asynchronous:
        return selected_by
    return _accepting(tx, selected_by.task)


def _accepting(tx: Connection, task: TaskRecord) -> RoundRecord | None:
    open_rounds = queries.rounds.open_of_task(tx, task.task_id)
    return next((round_ for round_ in open_rounds if round_.state in rounds.ACCEPTS_REPORTS), None)


def expire_too_stale(tx: Connection, task: TaskRecord, round_number: int, now: float) -> None:
    """End the assignments whose reports would come too late for a round of this number and all that follow."""
    if task.policy.maximum_staleness is not None:
        oldest = round_number - task.policy.maximum_staleness
        queries.assignments.expire_of_task(tx, task.task_id, now, selected_before=oldest)


def carry_over(tx: Connection, task: TaskRecord, round_id: str, round_number: int, now: float) -> None:
    """Let a new round count the reports that waited for it, no more than it has room for, and who is at work."""
    expire_too_stale(tx, task, round_number, now)
    reported = queries.assignments.count_waiting_in(tx, task.task_id, round_id, task.policy.cohort)
    at_work = queries.assignments.count_out(tx, task.task_id)
    if at_work or reported:
        queries.rounds.carry_over(tx, round_id, at_work=at_work, reported=reported, now=now)


def expire_overdue(tx: Connection, task: TaskRecord, now: float) -> None:
    """End the assignments whose own deadline is over, so that others get their places, in whatever round."""
    since = now - task.policy.reporting_deadline_seconds
    overdue = queries.assignments.expire_of_task(tx, task.task_id, now, assigned_by=since)
    counting = _accepting(tx, task) if overdue else None
    if counting is not None:
        queries.rounds.count_ending(tx, counting.round_id, AssignmentState.EXPIRED, overdue)


def drop_all(tx: Connection, round_: RoundRecord, now: float) -> None:
    """End what is out, and give what waits to a round that is about to be cancelled: neither is to count any more."""
    waiting = queries.assignments.count_waiting_in(tx, round_.task.task_id, round_.round_id)
    queries.rounds.count_ending(tx, round_.round_id, AssignmentState.REPORTED, waiting)
    queries.assignments.expire_of_task(tx, round_.task.task_id, now)


def let_go_of_all(tx: Connection, task: TaskRecord, now: float) -> None:
    """`drop_all` where no round is open: what waits goes to the last round, whose sum is made."""
    last = queries.rounds.newest(tx, task.task_id)
    if last is not None:
        queries.assignments.count_waiting_in(tx, task.task_id, last.round_id)
    queries.assignments.expire_of_task(tx, task.task_id, now)
