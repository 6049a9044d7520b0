"""The updates that devices have announced for their assignments."""

from collections.abc import Collection

from sqlalchemy import Connection, and_, bindparam, delete, insert, or_, select

from orchestrator.db import tables as t
from orchestrator.domain import rounds as round_rules
from orchestrator.domain import tasks as task_rules
from orchestrator.domain.assignments import AssignmentState

_OPEN = [state.value for state in round_rules.OPEN]
_OPEN_TASKS = [state.value for state in task_rules.OPEN]
# Run for every update, so built once.
_OF_ASSIGNMENT = select(t.uploads.c.sha256).where(t.uploads.c.assignment_id == bindparam("assignment"))
_ADD = insert(t.uploads)


def of_assignment(tx: Connection, assignment_id: str) -> set[str]:
    """The digests of the updates that were announced for an assignment."""
    return set(tx.execute(_OF_ASSIGNMENT, {"assignment": assignment_id}).scalars())


def add(tx: Connection, assignment_id: str, sha256: str, now: float) -> None:
    """Note an update before its first byte."""
    tx.execute(_ADD, {"assignment_id": assignment_id, "sha256": sha256, "announced_at": now})


def of_ended_rounds(tx: Connection, limit: int) -> tuple[str, ...]:
    """Assignments with updates that no round counts any more, or ever will."""
    begun, counting = t.rounds.alias("begun"), t.rounds.alias("counting")
    state = t.assignments.c.state
    waits_in_vain = and_(t.assignments.c.counted_in.is_(None), t.tasks.c.state.not_in(_OPEN_TASKS))
    query = (
        select(t.uploads.c.assignment_id)
        .join(t.assignments, t.assignments.c.assignment_id == t.uploads.c.assignment_id)
        .join(begun, begun.c.round_id == t.assignments.c.round_id)
        .join(t.tasks, t.tasks.c.task_id == begun.c.task_id)
        .outerjoin(counting, counting.c.round_id == t.assignments.c.counted_in)
        .where(state != AssignmentState.ASSIGNED.value)
        .where(or_(state != AssignmentState.REPORTED.value, waits_in_vain, counting.c.state.not_in(_OPEN)))
        .distinct()
        .limit(limit)
    )
    return tuple(row.assignment_id for row in tx.execute(query))


def among(tx: Connection, assignment_ids: Collection[str]) -> set[str]:
    """Those of some assignments that updates were announced for."""
    query = select(t.uploads.c.assignment_id).where(t.uploads.c.assignment_id.in_(assignment_ids)).distinct()
    return {row.assignment_id for row in tx.execute(query)}


def forget(tx: Connection, assignment_ids: Collection[str]) -> None:
    """Forget assignments' updates, whose bytes are gone."""
    tx.execute(delete(t.uploads).where(t.uploads.c.assignment_id.in_(assignment_ids)))
