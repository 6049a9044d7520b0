"""Kept server states."""

from collections.abc import Collection

from sqlalchemy import Connection, delete, insert, select

from orchestrator.db import rows
from orchestrator.db import tables as t
from orchestrator.db.queries import paging
from orchestrator.db.records import CheckpointRecord
from orchestrator.domain.paging import Page, PageRequest
from wire.messages import Resource

_ORDER = paging.Order((t.checkpoints.c.round_number,))


def add(tx: Connection, task_id: str, round_number: int, resource: Resource, now: float) -> None:
    """Keep a server state that a round made, or a plan brought."""
    keep(tx, CheckpointRecord(task_id, round_number, resource, now))


def keep(tx: Connection, checkpoint: CheckpointRecord) -> None:
    """Keep a server state."""
    tx.execute(
        insert(t.checkpoints).values(
            task_id=checkpoint.task_id,
            round_number=checkpoint.round_number,
            sha256=checkpoint.resource.sha256,
            size_bytes=checkpoint.resource.size_bytes,
            created_at=checkpoint.created_at,
            from_task_id=checkpoint.from_task_id,
            from_round=checkpoint.from_round,
        )
    )


def of_digest(tx: Connection, sha256: str, population: str) -> CheckpointRecord | None:
    """The first checkpoint that had this state, in this population where there is one."""
    query = (
        select(t.checkpoints)
        .join(t.tasks, t.tasks.c.task_id == t.checkpoints.c.task_id)
        .where(t.checkpoints.c.sha256 == sha256)
        .order_by(t.tasks.c.population != population, t.checkpoints.c.created_at, t.checkpoints.c.round_number)
        .limit(1)
    )
    row = tx.execute(query).first()
    return None if row is None else rows.checkpoint(row)


def of_task(tx: Connection, task_id: str, request: PageRequest) -> Page[CheckpointRecord]:
    """A task's checkpoints, in the order of their rounds."""
    query = select(t.checkpoints).where(t.checkpoints.c.task_id == task_id)
    return paging.page(tx, query, _ORDER, request, rows.checkpoint)


def all_of_task(tx: Connection, task_id: str) -> tuple[CheckpointRecord, ...]:
    """Every checkpoint of a task."""
    query = select(t.checkpoints).where(t.checkpoints.c.task_id == task_id)
    return tuple(rows.checkpoint(row) for row in tx.execute(query))


def numbered(tx: Connection, task_id: str, round_number: int) -> CheckpointRecord | None:
    """A task's checkpoint of this round."""
    query = select(t.checkpoints).where(t.checkpoints.c.task_id == task_id)
    row = tx.execute(query.where(t.checkpoints.c.round_number == round_number)).first()
    return None if row is None else rows.checkpoint(row)


def latest(tx: Connection, task_id: str) -> CheckpointRecord | None:
    """A task's last checkpoint."""
    query = (
        select(t.checkpoints)
        .where(t.checkpoints.c.task_id == task_id)
        .order_by(t.checkpoints.c.round_number.desc())
        .limit(1)
    )
    row = tx.execute(query).first()
    return None if row is None else rows.checkpoint(row)


def first_after(tx: Connection, task_id: str, round_number: int, every: int) -> CheckpointRecord | None:
    """A task's first checkpoint of a later round than this one, of those whose number `every` divides."""
    query = (
        select(t.checkpoints)
        .where(t.checkpoints.c.task_id == task_id)
        .where(t.checkpoints.c.round_number > round_number)
        .where(t.checkpoints.c.round_number % every == 0)
        .order_by(t.checkpoints.c.round_number)
        .limit(1)
    )
    row = tx.execute(query).first()
    return None if row is None else rows.checkpoint(row)


def forget(tx: Connection, task_id: str, round_numbers: Collection[int]) -> None:
    """Keep these checkpoints of a task no longer. Their bytes may be another's too, and stay."""
    tx.execute(
        delete(t.checkpoints)
        .where(t.checkpoints.c.task_id == task_id)
        .where(t.checkpoints.c.round_number.in_(round_numbers))
    )
