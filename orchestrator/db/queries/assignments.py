"""Devices' work in rounds."""

from collections.abc import Mapping

from sqlalchemy import ColumnElement, Connection, Row, bindparam, func, insert, select, text, update

from orchestrator.db import rows
from orchestrator.db import tables as t
from orchestrator.db.queries import paging
from orchestrator.db.records import AssignmentRecord, ContributionRecord
from orchestrator.domain.assignments import AssignmentState
from orchestrator.domain.paging import Page, PageRequest
from wire.operator_messages import AssignmentView, ReasonCount

_ORDER = paging.Order((t.assignments.c.device_id,))
_IS_OUT = text(f"assignments.{t.IS_OUT}")  # word for word, or no database would use the index of those that are out

# Run for every update, so built once.
_ADD = insert(t.assignments)
_BY_ID = rows.select_assignments().where(t.assignments.c.assignment_id == bindparam("assignment"))
_TOOK_PART = (
    select(t.assignments.c.assignment_id)
    .where(t.assignments.c.round_id == bindparam("round"))
    .where(t.assignments.c.device_id == bindparam("device"))
)
_END = (
    update(t.assignments)
    .where(t.assignments.c.assignment_id == bindparam("assignment"))
    .where(t.assignments.c.state == AssignmentState.ASSIGNED.value)
)
_OWED = (
    select(t.assignments.c.assignment_id)
    .where(t.assignments.c.device_id == bindparam("device"))
    .where(t.assignments.c.state == AssignmentState.ASSIGNED.value)
    .order_by(t.assignments.c.assigned_at)
    .limit(1)
)


def add(tx: Connection, assignment_id: str, round_id: str, device_id: str, seed: int, now: float) -> None:
    """Select a device for a round."""
    values = {"assignment_id": assignment_id, "round_id": round_id, "device_id": device_id, "seed": seed}
    begun = {"state": AssignmentState.ASSIGNED.value, "assigned_at": now, "metrics": {}, "reason": ""}
    tx.execute(_ADD, values | begun)


def by_id(tx: Connection, assignment_id: str) -> AssignmentRecord | None:
    """The assignment of this id."""
    row = tx.execute(_BY_ID, {"assignment": assignment_id}).first()
    return None if row is None else rows.assignment(row)


def open_of_device(tx: Connection, device_id: str) -> AssignmentRecord | None:
    """The assignment that a device still owes a report for; its round's end has ended all that it may not report."""
    assignment_id = tx.execute(_OWED, {"device": device_id}).scalar()
    return None if assignment_id is None else by_id(tx, assignment_id)


def took_part(tx: Connection, round_id: str, device_id: str) -> bool:
    """Whether a device was selected for a round before."""
    return tx.execute(_TOOK_PART, {"round": round_id, "device": device_id}).first() is not None


def is_counted_in(tx: Connection, round_id: str, device_id: str) -> bool:
    """Whether a round counts a report of a device, whichever round selected it."""
    query = select(t.assignments.c.assignment_id).where(t.assignments.c.counted_in == round_id)
    return tx.execute(query.where(t.assignments.c.device_id == device_id)).first() is not None


def contributions(tx: Connection, round_id: str) -> tuple[ContributionRecord, ...]:
    """What the completed reports brought that a round counts, always in the same order."""
    query = rows.select_contributions().where(t.assignments.c.counted_in == round_id)
    return tuple(rows.contribution(row) for row in tx.execute(query))


def contributions_in_no_shard(tx: Connection, round_id: str) -> tuple[ContributionRecord, ...]:
    """Those of them whose updates are in no shard."""
    query = rows.select_contributions().where(t.assignments.c.counted_in == round_id)
    return tuple(rows.contribution(row) for row in tx.execute(query.where(t.assignments.c.shard_id.is_(None))))


def last_round_reported(tx: Connection, task_id: str, device_id: str) -> int | None:
    """The number of the last round of a task that counts a report of a device; None where none does."""
    query = (
        select(func.max(t.rounds.c.round_number))
        .join(t.assignments, t.assignments.c.counted_in == t.rounds.c.round_id)
        .where(t.assignments.c.device_id == device_id)
        .where(t.rounds.c.task_id == task_id)
    )
    return tx.execute(query).scalar()


def ids_in(tx: Connection, round_id: str) -> tuple[str, ...]:
    """The ids of all assignments of a round."""
    query = select(t.assignments.c.assignment_id).where(t.assignments.c.round_id == round_id)
    return tuple(row.assignment_id for row in tx.execute(query))


def of_round(
    tx: Connection, round_id: str, request: PageRequest, state: AssignmentState | None = None
) -> Page[AssignmentView]:
    """A round's assignments, by their devices' ids, all or those in one state."""
    query = select(t.assignments).where(t.assignments.c.round_id == round_id)
    if state is not None:
        query = query.where(t.assignments.c.state == state.value)
    return paging.page(tx, query, _ORDER, request, _view)


def counts(tx: Connection, round_id: str) -> dict[str, int]:
    """How many assignments of a round are in which state."""
    query = (
        select(t.assignments.c.state, func.count().label("count"))
        .where(t.assignments.c.round_id == round_id)
        .group_by(t.assignments.c.state)
    )
    return {row.state: row._mapping["count"] for row in tx.execute(query)}


def reasons(tx: Connection, round_id: str, limit: int) -> tuple[ReasonCount, ...]:
    """Why assignments of a round ended without a report, the most frequent reasons first."""
    number = func.count()
    query = (
        select(t.assignments.c.state, t.assignments.c.reason, number.label("count"))
        .where(t.assignments.c.round_id == round_id)
        .where(t.assignments.c.reason != "")
        .group_by(t.assignments.c.state, t.assignments.c.reason)
        .order_by(number.desc(), t.assignments.c.state, t.assignments.c.reason)
        .limit(limit)
    )
    return tuple(ReasonCount(row.state, row.reason, row._mapping["count"]) for row in tx.execute(query))


def end(
    tx: Connection,
    assignment_id: str,
    state: AssignmentState,
    now: float,
    *,
    update_sha256: str | None = None,
    metrics: Mapping[str, float] | None = None,
    reason: str = "",
    counted_in: str | None = None,
) -> bool:
    """End an assignment that is still out; False where it had ended already.

    Args:
        counted_in: the round that counts the report.
    """
    values = {"state": state.value, "ended_at": now, "update_sha256": update_sha256, "counted_in": counted_in}
    brought = {"metrics": dict(metrics or {}), "reason": reason[:500]}
    return tx.execute(_END, {"assignment": assignment_id} | values | brought).rowcount == 1


def reasons_given(tx: Connection, round_id: str, limit: int) -> tuple[str, ...]:
    """Why devices of a round declined or failed, as `declined: no examples`, each reason once."""
    gave_up = (AssignmentState.DECLINED.value, AssignmentState.FAILED.value)
    query = (
        select(t.assignments.c.state, t.assignments.c.reason)
        .where(t.assignments.c.round_id == round_id)
        .where(t.assignments.c.state.in_(gave_up))
        .distinct()
        .limit(limit)
    )
    return tuple(f"{row.state}: {row.reason}" for row in tx.execute(query))


def expire(tx: Connection, round_id: str, now: float) -> None:
    """End every assignment of a round that is still out."""
    tx.execute(
        update(t.assignments)
        .where(t.assignments.c.round_id == round_id)
        .where(t.assignments.c.state == AssignmentState.ASSIGNED.value)
        .values(state=AssignmentState.EXPIRED.value, ended_at=now)
    )


def count_out(tx: Connection, task_id: str) -> int:
    """How many devices a task's rounds have at work."""
    return (
        tx.execute(select(func.count()).select_from(t.assignments).where(_IS_OUT).where(_is_of(task_id))).scalar() or 0
    )


def expire_of_task(
    tx: Connection, task_id: str, now: float, *, assigned_by: float | None = None, selected_before: int | None = None
) -> int:
    """End assignments of a task's rounds that are still out; how many.

    Args:
        assigned_by: only those given until this moment.
        selected_before: only those of rounds with a lower number.
    """
    query = update(t.assignments).where(_IS_OUT).where(_is_of(task_id, selected_before))
    if assigned_by is not None:
        query = query.where(t.assignments.c.assigned_at <= assigned_by)
    return tx.execute(query.values(state=AssignmentState.EXPIRED.value, ended_at=now)).rowcount


def count_waiting_in(tx: Connection, task_id: str, round_id: str, most: int | None = None) -> int:
    """Let a round count reports that came while none was open, the oldest first; how many.

    Args:
        most: no more than this; None for all.
    """
    chosen = (
        select(t.assignments.c.assignment_id)
        .where(t.assignments.c.counted_in.is_(None))
        .where(t.assignments.c.state == AssignmentState.REPORTED.value)
        .where(_is_of(task_id))
        .order_by(t.assignments.c.ended_at, t.assignments.c.assignment_id)
        .limit(most)
    )
    counted = update(t.assignments).where(t.assignments.c.assignment_id.in_(chosen)).values(counted_in=round_id)
    return tx.execute(counted).rowcount


def has_device_out() -> ColumnElement[bool]:
    """Of a query over rounds: one of its devices is at work."""
    query = select(t.assignments.c.assignment_id).where(t.assignments.c.round_id == t.rounds.c.round_id)
    return query.where(_IS_OUT).exists()


def _is_of(task_id: str, before: int | None = None) -> ColumnElement[bool]:
    """Of a query over assignments: those of a task's rounds, all or those below a number."""
    query = select(t.rounds.c.round_id).where(t.rounds.c.round_id == t.assignments.c.round_id)
    if before is not None:
        query = query.where(t.rounds.c.round_number < before)
    return query.where(t.rounds.c.task_id == task_id).exists()


def _view(row: Row[tuple[object, ...]]) -> AssignmentView:
    return AssignmentView(
        row.assignment_id, row.device_id, row.state, row.assigned_at, ended_at=row.ended_at, reason=row.reason
    )
