"""Enrolment tokens: they let devices join populations. A token's id is the beginning of its hash."""

from sqlalchemy import Connection, Row, func, insert, select, update
from sqlalchemy.sql.elements import ColumnElement

from orchestrator.db import tables as t
from orchestrator.db.queries import paging
from orchestrator.domain.paging import Page, PageRequest
from wire.operator_messages import ID_CHARACTERS, EnrolmentTokenView

_ORDER = paging.Order((t.enrolment_tokens.c.created_at, t.enrolment_tokens.c.token_sha256), is_descending=True)


def add(tx: Connection, token_sha256: str, population: str, uses: int, now: float, expires_at: float) -> None:
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


def use(tx: Connection, token_sha256: str, now: float) -> str | None:
    """Take one use of a token and give its population, or None where it is unknown, used up, expired or revoked."""
    taken = tx.execute(
        update(t.enrolment_tokens)
        .where(t.enrolment_tokens.c.token_sha256 == token_sha256)
        .where(t.enrolment_tokens.c.uses_left > 0)
        .where(t.enrolment_tokens.c.expires_at > now)
        .where(t.enrolment_tokens.c.revoked_at.is_(None))
        .values(uses_left=t.enrolment_tokens.c.uses_left - 1)
        .returning(t.enrolment_tokens.c.population)
    ).first()
    return None if taken is None else str(taken.population)


def newest(tx: Connection, request: PageRequest, population: str | None) -> Page[EnrolmentTokenView]:
    """Tokens, newest first, of one population or of all."""
    query = select(t.enrolment_tokens)
    if population is not None:
        query = query.where(t.enrolment_tokens.c.population == population)
    return paging.page(tx, query, _ORDER, request, _view)


def by_id(tx: Connection, token_id: str) -> EnrolmentTokenView | None:
    """The token of this id."""
    row = tx.execute(select(t.enrolment_tokens).where(_has_id(token_id))).first()
    return None if row is None else _view(row)


def revoke(tx: Connection, token_id: str, now: float) -> None:
    """End a token."""
    good = t.enrolment_tokens.c.revoked_at.is_(None)
    tx.execute(update(t.enrolment_tokens).where(_has_id(token_id)).where(good).values(revoked_at=now))


def _has_id(token_id: str) -> ColumnElement[bool]:
    return func.substr(t.enrolment_tokens.c.token_sha256, 1, ID_CHARACTERS) == token_id


def _view(row: Row[tuple[object, ...]]) -> EnrolmentTokenView:
    return EnrolmentTokenView(
        token_id=row.token_sha256[:ID_CHARACTERS],
        population=row.population,
        uses=row.uses,
        uses_left=row.uses_left,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )
