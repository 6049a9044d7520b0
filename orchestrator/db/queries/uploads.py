"""The updates that devices have announced for their assignments."""

from collections.abc import Collection

from sqlalchemy import Connection, bindparam, delete, insert, select

from orchestrator.db import tables as t
from orchestrator.domain import rounds as round_rules

_OPEN = [state.value for state in round_rules.OPEN]
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
    """Assignments with updates whose rounds have ended."""
    query = (
        select(t.uploads.c.assignment_id)
        .join(t.assignments, t.assignments.c.assignment_id == t.uploads.c.assignment_id)
        .join(t.rounds, t.rounds.c.round_id == t.assignments.c.round_id)
        .where(t.rounds.c.state.not_in(_OPEN))
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
