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
    open_rounds = queries.rounds.open_of_task(tx, selected_by.task.task_id)
    return next((round_ for round_ in open_rounds if round_.state in rounds.ACCEPTS_REPORTS), None)


def carry_over(tx: Connection, task: TaskRecord, round_id: str, now: float) -> None:
    """Let a new round count the reports that waited for it, no more than it has room for, and who is at work."""
    reported = queries.assignments.count_waiting_in(tx, task.task_id, round_id, task.policy.cohort)
    at_work = queries.assignments.count_out(tx, task.task_id)
    if at_work or reported:
        queries.rounds.carry_over(tx, round_id, at_work=at_work, reported=reported, now=now)


def expire_overdue(tx: Connection, round_: RoundRecord, now: float) -> None:
    """End the assignments whose own deadline is over, so that others get their places."""
    task = round_.task
    since = now - task.policy.reporting_deadline_seconds
    overdue = queries.assignments.expire_of_task(tx, task.task_id, now, assigned_by=since)
    if overdue and round_.state in rounds.ACCEPTS_REPORTS:
        queries.rounds.count_ending(tx, round_.round_id, AssignmentState.EXPIRED, overdue)


def drop_all(tx: Connection, round_: RoundRecord, now: float) -> None:
    """End what is out, and give what waits to a round that is about to be cancelled: neither is to count any more."""
    waiting = queries.assignments.count_waiting_in(tx, round_.task.task_id, round_.round_id)
    queries.rounds.count_ending(tx, round_.round_id, AssignmentState.REPORTED, waiting)
    queries.assignments.expire_of_task(tx, round_.task.task_id, now)
