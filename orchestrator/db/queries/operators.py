"""Operators' keys, and the key that signs plans."""

from sqlalchemy import Connection, insert, select

from orchestrator.db import tables as t


def add_api_key(tx: Connection, key_sha256: str, name: str, now: float) -> None:
    """Keep the hash of a new operator key."""
    tx.execute(insert(t.api_keys).values(key_sha256=key_sha256, name=name, created_at=now))


def api_key_exists(tx: Connection, key_sha256: str) -> bool:
    """Whether an operator key has this hash."""
    return tx.execute(select(t.api_keys.c.name).where(t.api_keys.c.key_sha256 == key_sha256)).first() is not None


def any_api_key(tx: Connection) -> bool:
    """Whether there is an operator key at all: that is, whether this is not the first start."""
    return tx.execute(select(t.api_keys.c.name).limit(1)).first() is not None


def pinned_key(tx: Connection) -> str | None:
    """The id of the key that signs this database's plans, which devices have pinned; None before the first start."""
    return tx.execute(select(t.plan_keys.c.key_id)).scalar()


def pin_key(tx: Connection, key_id: str, now: float) -> None:
    """Say which key signs this database's plans."""
    tx.execute(insert(t.plan_keys).values(key_id=key_id, created_at=now))
