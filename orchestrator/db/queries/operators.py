"""Operators' keys, and the key that signs plans. A key's id is the beginning of its hash."""

from sqlalchemy import Connection, Row, func, insert, select, update
from sqlalchemy.sql.elements import ColumnElement

from orchestrator.db import tables as t
from orchestrator.db.queries import paging
from orchestrator.domain.paging import Page, PageRequest
from wire.operator_messages import ID_CHARACTERS, ApiKeyView

_ORDER = paging.Order((t.api_keys.c.created_at, t.api_keys.c.key_sha256))


def add_api_key(tx: Connection, key_sha256: str, name: str, now: float) -> None:
    """Keep the hash of a new operator key."""
    tx.execute(insert(t.api_keys).values(key_sha256=key_sha256, name=name, created_at=now))


def api_key_of(tx: Connection, key_sha256: str) -> ApiKeyView | None:
    """The operator key of this hash, if it is good."""
    query = select(t.api_keys).where(t.api_keys.c.key_sha256 == key_sha256).where(t.api_keys.c.revoked_at.is_(None))
    row = tx.execute(query).first()
    return None if row is None else _view(row)


def api_key_by_id(tx: Connection, key_id: str) -> ApiKeyView | None:
    """The operator key of this id, good or revoked."""
    row = tx.execute(select(t.api_keys).where(_has_id(key_id))).first()
    return None if row is None else _view(row)


def api_keys(tx: Connection, request: PageRequest) -> Page[ApiKeyView]:
    """Operator keys, oldest first."""
    return paging.page(tx, select(t.api_keys), _ORDER, request, _view)


def any_api_key(tx: Connection) -> bool:
    """Whether there is an operator key at all: that is, whether this is not the first start."""
    return tx.execute(select(t.api_keys.c.name).limit(1)).first() is not None


def count_good_api_keys(tx: Connection) -> int:
    """How many operator keys are good."""
    return tx.execute(select(func.count()).where(t.api_keys.c.revoked_at.is_(None))).scalar() or 0


def rename_api_key(tx: Connection, key_id: str, name: str) -> None:
    """Give an operator key another name."""
    tx.execute(update(t.api_keys).where(_has_id(key_id)).values(name=name))


def revoke_api_key(tx: Connection, key_id: str, now: float) -> None:
    """End an operator key."""
    tx.execute(
        update(t.api_keys).where(_has_id(key_id)).where(t.api_keys.c.revoked_at.is_(None)).values(revoked_at=now)
    )


def pinned_key(tx: Connection) -> str | None:
    """The id of the key that signs this database's plans, which devices have pinned; None before the first start."""
    return tx.execute(select(t.plan_keys.c.key_id)).scalar()


def pin_key(tx: Connection, key_id: str, now: float) -> None:
    """Say which key signs this database's plans."""
    tx.execute(insert(t.plan_keys).values(key_id=key_id, created_at=now))


def _has_id(key_id: str) -> ColumnElement[bool]:
    return func.substr(t.api_keys.c.key_sha256, 1, ID_CHARACTERS) == key_id


def _view(row: Row[tuple[object, ...]]) -> ApiKeyView:
    return ApiKeyView(row.key_sha256[:ID_CHARACTERS], row.name, row.created_at, row.revoked_at)
