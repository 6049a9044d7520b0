"""Kept server states."""

from collections.abc import Collection

from sqlalchemy import Connection, delete, insert, select, update

from orchestrator.db import rows
from orchestrator.db import tables as t
from orchestrator.db.queries import paging
from orchestrator.db.records import CheckpointRecord
from orchestrator.domain.paging import Page, PageRequest
from wire.messages import Resource

_ORDER = paging.Order((t.checkpoints.c.round_number,))


def add(tx: Connection, task_id: str, round_number: int, resource: Resource, now: float) -> None:
    """Keep a server state."""
    tx.execute(
        insert(t.checkpoints).values(
            task_id=task_id,
            round_number=round_number,
            sha256=resource.sha256,
            size_bytes=resource.size_bytes,
            created_at=now,
        )
    )


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


def label(tx: Connection, task_id: str, round_number: int, text: str) -> None:
    """Call a checkpoint something."""
    tx.execute(
        update(t.checkpoints)
        .where(t.checkpoints.c.task_id == task_id)
        .where(t.checkpoints.c.round_number == round_number)
        .values(label=text)
    )


def forget(tx: Connection, task_id: str, round_numbers: Collection[int]) -> None:
    """Keep these checkpoints of a task no longer. Their bytes may be another's too, and stay."""
    tx.execute(
        delete(t.checkpoints)
        .where(t.checkpoints.c.task_id == task_id)
        .where(t.checkpoints.c.round_number.in_(round_numbers))
    )
