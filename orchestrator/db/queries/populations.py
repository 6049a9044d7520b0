"""Populations, and the tokens that let devices join them."""

from sqlalchemy import Connection, func, insert, select, update

from orchestrator.db import tables as t
from wire.operator_messages import PopulationView


def add(tx: Connection, name: str, now: float) -> None:
    """Make a population."""
    tx.execute(insert(t.populations).values(name=name, created_at=now))


def exists(tx: Connection, name: str) -> bool:
    """Whether there is a population of this name."""
    return tx.execute(select(t.populations.c.name).where(t.populations.c.name == name)).first() is not None


def all_by_name(tx: Connection) -> tuple[PopulationView, ...]:
    """Every population with its number of devices, by name."""
    counted = (
        select(t.populations.c.name, func.count(t.devices.c.device_id).label("devices"))
        .outerjoin(t.devices, t.devices.c.population == t.populations.c.name)
        .group_by(t.populations.c.name)
        .order_by(t.populations.c.name)
    )
    return tuple(PopulationView(row.name, row.devices) for row in tx.execute(counted))


def add_enrolment_token(
    tx: Connection, token_sha256: str, population: str, uses: int, now: float, expires_at: float
) -> None:
    """Keep the hash of a new enrolment token."""
    tx.execute(
        insert(t.enrolment_tokens).values(
            token_sha256=token_sha256,
            population=population,
            uses=uses,
            uses_left=uses,
            created_at=now,
            expires_at=expires_at,
        )
    )


def use_enrolment_token(tx: Connection, token_sha256: str, now: float) -> str | None:
    """Take one use of a token and give its population, or None where it is unknown, used up or expired."""
    taken = tx.execute(
        update(t.enrolment_tokens)
        .where(t.enrolment_tokens.c.token_sha256 == token_sha256)
        .where(t.enrolment_tokens.c.uses_left > 0)
        .where(t.enrolment_tokens.c.expires_at > now)
        .values(uses_left=t.enrolment_tokens.c.uses_left - 1)
        .returning(t.enrolment_tokens.c.population)
    ).first()
    return None if taken is None else str(taken.population)
