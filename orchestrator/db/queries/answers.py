"""Answers that a repeated request gets again."""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from orchestrator.db import tables as t


@dataclass(frozen=True)
class KeptAnswer:
    """A sealed answer, and the digest of the request that it answers."""

    request_sha256: str
    sealed: bytes


def kept(tx: Connection, api_key_sha256: str, idempotency_key: str, since: float) -> KeptAnswer | None:
    """The answer that an operator's request of this key got, if that was since then."""
    query = (
        select(t.answers.c.request_sha256, t.answers.c.sealed)
        .where(t.answers.c.api_key_sha256 == api_key_sha256)
        .where(t.answers.c.idempotency_key == idempotency_key)
        .where(t.answers.c.created_at > since)
    )
    row = tx.execute(query).first()
    return None if row is None else KeptAnswer(row.request_sha256, row.sealed)


def add(tx: Connection, api_key_sha256: str, idempotency_key: str, answer: KeptAnswer, now: float) -> None:
    """Keep an answer."""
    tx.execute(
        insert(t.answers).values(
            api_key_sha256=api_key_sha256,
            idempotency_key=idempotency_key,
            request_sha256=answer.request_sha256,
            sealed=answer.sealed,
            created_at=now,
        )
    )


def forget(tx: Connection, until: float) -> None:
    """Delete the answers that were given until then."""
    tx.execute(delete(t.answers).where(t.answers.c.created_at <= until))
