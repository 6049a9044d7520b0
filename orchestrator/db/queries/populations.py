"""Populations."""

from sqlalchemy import Connection, func, insert, select

from orchestrator.db import tables as t
from orchestrator.db.queries import paging
from orchestrator.domain.paging import Page, PageRequest
from wire.operator_messages import PopulationView

_ORDER = paging.Order((t.populations.c.name,))


def add(tx: Connection, name: str, now: float) -> None:
    """Make a population."""
    tx.execute(insert(t.populations).values(name=name, created_at=now))


def exists(tx: Connection, name: str) -> bool:
    """Whether there is a population of this name."""
    return tx.execute(select(t.populations.c.name).where(t.populations.c.name == name)).first() is not None


def by_name(tx: Connection, request: PageRequest) -> Page[PopulationView]:
    """Populations with their numbers of devices that may take part, by name."""
    members = (
        select(func.count())
        .where(t.devices.c.population == t.populations.c.name)
        .where(t.devices.c.revoked_at.is_(None))
        .scalar_subquery()
    )
    query = select(t.populations.c.name, members.label("devices"))
    return paging.page(tx, query, _ORDER, request, lambda row: PopulationView(row.name, row.devices))
