"""What happened, in the order in which it was committed: writes come one after the other."""

from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select

from orchestrator.db import tables as t
from wire.events import Event

MOST_KEPT = 100_000
_SWEPT_EVERY = 1000
_ADD = insert(t.events).returning(t.events.c.event_id)


def add(tx: Connection, kind: str, task_id: str, now: float, round_number: int | None = None, **detail: object) -> None:
    """Tell of something, and forget what is too long ago."""
    values = {"kind": kind, "task_id": task_id, "at": now, "round_number": round_number, "detail": detail}
    event_id = tx.execute(_ADD, values).scalar_one()
    if event_id % _SWEPT_EVERY == 0:
        forget(tx, event_id - MOST_KEPT)


def forget(tx: Connection, event_id: int) -> None:
    """Delete the events up to this one."""
    tx.execute(delete(t.events).where(t.events.c.event_id <= event_id))


def after(tx: Connection, event_id: int, limit: int, task_id: str | None = None) -> tuple[Event, ...]:
    """The first events after one, of one task or of all."""
    query = select(t.events).where(t.events.c.event_id > event_id).order_by(t.events.c.event_id).limit(limit)
    if task_id is not None:
        query = query.where(t.events.c.task_id == task_id)
    return tuple(_event(row) for row in tx.execute(query))


def kept(tx: Connection) -> tuple[int, int]:
    """The ids of the oldest and of the newest event that are kept; 0 and 0 where there is none."""
    oldest, newest = tx.execute(select(func.min(t.events.c.event_id), func.max(t.events.c.event_id))).one()
    return oldest or 0, newest or 0


def _event(row: Row[Any]) -> Event:
    return Event(row.event_id, row.kind, row.at, row.task_id, row.round_number, row.detail)
