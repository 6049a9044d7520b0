"""Labels of checkpoints: each name is on one checkpoint of a population at a time."""

from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from orchestrator.db import tables as t
from orchestrator.db.queries import paging
from orchestrator.domain.paging import Page, PageRequest
from wire.messages import Resource
from wire.registry_messages import LabelView

_ORDER = paging.Order((t.labels.c.population, t.labels.c.label))


def put(tx: Connection, label: LabelView, model: Resource | None) -> None:
    """Put a label on a checkpoint with its model file, if it has one, and take it off the one that had it."""
    remove(tx, label.population, label.label)
    file = {} if model is None else {"model_sha256": model.sha256, "model_size_bytes": model.size_bytes}
    tx.execute(insert(t.labels).values(**vars(label), **file))


def model_of(tx: Connection, population: str, label: str) -> Resource | None:
    """The model file of a label's checkpoint."""
    query = select(t.labels).where(t.labels.c.population == population).where(t.labels.c.label == label)
    row = tx.execute(query).first()
    return None if row is None or row.model_sha256 is None else Resource(row.model_sha256, row.model_size_bytes)


def remove(tx: Connection, population: str, label: str) -> None:
    """Take a label off."""
    tx.execute(delete(t.labels).where(t.labels.c.population == population).where(t.labels.c.label == label))


def named(tx: Connection, population: str, label: str) -> LabelView | None:
    """A population's label of this name."""
    query = select(t.labels).where(t.labels.c.population == population).where(t.labels.c.label == label)
    row = tx.execute(query).first()
    return None if row is None else _view(row)


def by_name(tx: Connection, request: PageRequest, population: str | None) -> Page[LabelView]:
    """Labels, by population and name."""
    query = select(t.labels)
    if population is not None:
        query = query.where(t.labels.c.population == population)
    return paging.page(tx, query, _ORDER, request, _view)


def of_task(tx: Connection, task_id: str) -> dict[int, tuple[str, ...]]:
    """The labels of a task's checkpoints, by their rounds."""
    query = select(t.labels).where(t.labels.c.task_id == task_id).order_by(t.labels.c.label)
    found: dict[int, tuple[str, ...]] = {}
    for row in tx.execute(query):
        found[row.round_number] = (*found.get(row.round_number, ()), row.label)
    return found


def _view(row: Row[Any]) -> LabelView:
    return LabelView(row.population, row.label, row.task_id, row.round_number, row.labelled_at)
