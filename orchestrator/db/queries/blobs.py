"""What is in the store, and whether anything refers to it.

A blob is noted before its bytes are written and claimed before they are deleted, each in a transaction of its own; one
that is claimed takes no note. So a blob that somebody has just put, and means to refer to, is never deleted under them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sqlalchemy import Column, ColumnElement, Connection, and_, delete, insert, or_, select, update

from orchestrator.db import tables as t
from orchestrator.db.queries import assignments
from orchestrator.domain import rounds as round_rules
from orchestrator.domain.blobs import BlobName, Room

_OPEN = [state.value for state in round_rules.OPEN]


@dataclass(frozen=True)
class Reference:
    """A column whose digests name blobs of a room, for ever or while its round is open.

    Attributes:
        while_out: or while a device that the round selected is at work, which a later round may count.
    """

    room: Room
    column: Column[str]
    while_open: bool = False
    while_out: bool = False


REFERENCES = (
    Reference(Room.BLOBS, t.plans.c.sha256),
    Reference(Room.BLOBS, t.checkpoints.c.sha256),
    Reference(Room.BLOBS, t.rounds.c.result_sha256),
    Reference(Room.BLOBS, t.labels.c.model_sha256),
    Reference(Room.BLOBS, t.rounds.c.broadcast_sha256, while_open=True, while_out=True),
    Reference(Room.TEMPS, t.rounds.c.temp_sha256, while_open=True),
    Reference(Room.TEMPS, t.shards.c.sum_sha256, while_open=True),
)


def note(tx: Connection, blob: BlobName, now: float) -> bool:
    """Note that a blob's bytes are about to be put; False while they are being deleted."""
    row = tx.execute(select(t.blobs.c.claimed_at).where(_is(blob))).first()
    if row is None:
        tx.execute(insert(t.blobs).values(room=blob.room.value, sha256=blob.sha256, put_at=now))
    elif row.claimed_at is None:
        tx.execute(update(t.blobs).where(_is(blob)).values(put_at=now))
    return row is None or row.claimed_at is None


def claim_unneeded(
    tx: Connection, after: BlobName, limit: int, *, now: float, put_before: float, claimed_before: float
) -> tuple[tuple[BlobName, ...], BlobName | None]:
    """Look at some blobs in their order, and claim those for deletion that nothing refers to.

    Args:
        after: where to go on.
        put_before: what was put later than this is left alone.
        claimed_before: what was claimed earlier than this was left over by somebody who died.

    Returns:
        What was claimed, and where the next look goes on; None at the end.
    """
    query = (
        select(t.blobs.c.room, t.blobs.c.sha256)
        .where(_comes_after(after))
        .where(t.blobs.c.put_at < put_before)
        .where(or_(t.blobs.c.claimed_at.is_(None), t.blobs.c.claimed_at < claimed_before))
        .order_by(t.blobs.c.room, t.blobs.c.sha256)
        .limit(limit)
    )
    found = tuple(BlobName(Room(row.room), row.sha256) for row in tx.execute(query))
    needed = set(_referred_to(tx, [blob.sha256 for blob in found]))
    unneeded = tuple(blob for blob in found if blob not in needed)
    for blob in unneeded:
        tx.execute(update(t.blobs).where(_is(blob)).values(claimed_at=now))
    return unneeded, found[-1] if len(found) == limit else None


def forget(tx: Connection, blobs: Iterable[BlobName], claimed_at: float) -> None:
    """Forget blobs whose bytes are deleted, where the claim is still this one."""
    for blob in blobs:
        tx.execute(delete(t.blobs).where(_is(blob)).where(t.blobs.c.claimed_at == claimed_at))


def _referred_to(tx: Connection, digests: list[str]) -> Iterator[BlobName]:
    for reference in REFERENCES:
        query = select(reference.column).where(reference.column.in_(digests)).distinct()
        if reference.while_open:
            if reference.column.table is not t.rounds:
                query = query.join(t.rounds)
            is_open = t.rounds.c.state.in_(_OPEN)
            query = query.where(or_(is_open, assignments.has_device_out()) if reference.while_out else is_open)
        yield from (BlobName(reference.room, sha256) for (sha256,) in tx.execute(query))


def _is(blob: BlobName) -> ColumnElement[bool]:
    return and_(t.blobs.c.room == blob.room.value, t.blobs.c.sha256 == blob.sha256)


def _comes_after(blob: BlobName) -> ColumnElement[bool]:
    in_its_room = and_(t.blobs.c.room == blob.room.value, t.blobs.c.sha256 > blob.sha256)
    return or_(t.blobs.c.room > blob.room.value, in_its_room)
