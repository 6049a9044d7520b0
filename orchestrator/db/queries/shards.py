"""Shards: updates that a worker sums by themselves."""

from sqlalchemy import Connection, func, insert, select, update

from orchestrator.db import rows
from orchestrator.db import tables as t
from orchestrator.db.records import ContributionRecord, Lease, ShardRecord
from orchestrator.domain.assignments import AssignmentState
from orchestrator.domain.rounds import RoundState
from wire.messages import Resource


def add(tx: Connection, shard_id: str, round_id: str, lease: Lease, updates: int) -> None:
    """Put some of a round's reported updates that are in no shard yet into a new one."""
    tx.execute(
        insert(t.shards).values(
            shard_id=shard_id,
            round_id=round_id,
            worker=lease.worker,
            lease_until=lease.until,
            lease_token=lease.token,
        )
    )
    chosen = (
        select(t.assignments.c.assignment_id)
        .where(t.assignments.c.counted_in == round_id)
        .where(t.assignments.c.state == AssignmentState.REPORTED.value)
        .where(t.assignments.c.shard_id.is_(None))
        .order_by(t.assignments.c.assignment_id)
        .limit(updates)
    )
    tx.execute(update(t.assignments).where(t.assignments.c.assignment_id.in_(chosen)).values(shard_id=shard_id))
    tx.execute(update(t.rounds).where(t.rounds.c.round_id == round_id).values(sharded=t.rounds.c.sharded + updates))


def abandoned_by_its_worker(tx: Connection, round_id: str, now: float) -> ShardRecord | None:
    """A shard of a round whose lease has run out before it was summed."""
    row = tx.execute(
        select(t.shards)
        .where(t.shards.c.round_id == round_id)
        .where(t.shards.c.sum_sha256.is_(None))
        .where(t.shards.c.lease_until <= now)
        .order_by(t.shards.c.shard_id)
        .limit(1)
    ).first()
    return None if row is None else rows.shard(row)


def lease(tx: Connection, shard_id: str, taken: Lease) -> None:
    """Give a shard to another worker."""
    tx.execute(
        update(t.shards)
        .where(t.shards.c.shard_id == shard_id)
        .values(worker=taken.worker, lease_until=taken.until, lease_token=taken.token)
    )


def renew(tx: Connection, shard_id: str, token: int, until: float) -> bool:
    """Keep a claim for longer; False where it is lost."""
    return _held(tx, shard_id, token, {"lease_until": until})


def release_all(tx: Connection) -> None:
    """Let every claim be taken over at once: whoever has the database to itself knows that all others are gone."""
    tx.execute(update(t.shards).where(t.shards.c.sum_sha256.is_(None)).values(lease_until=0.0))
    tx.execute(update(t.rounds).where(t.rounds.c.state == RoundState.AGGREGATION.value).values(lease_until=0.0))


def is_held(tx: Connection, shard_id: str, token: int) -> bool:
    """Whether a claim is still good."""
    return _held(tx, shard_id, token, {"lease_token": token})


def settle(tx: Connection, shard_id: str, token: int, partial_sum: Resource) -> bool:
    """Keep a shard's sum; False where the claim is lost."""
    return _held(tx, shard_id, token, {"sum_sha256": partial_sum.sha256, "sum_size_bytes": partial_sum.size_bytes})


def count_unfinished(tx: Connection, round_id: str) -> int:
    """How many shards of a round are claimed and not yet summed."""
    query = select(func.count()).where(t.shards.c.round_id == round_id).where(t.shards.c.sum_sha256.is_(None))
    return tx.execute(query).scalar() or 0


def of_round(tx: Connection, round_id: str) -> tuple[ShardRecord, ...]:
    """A round's shards, always in the same order."""
    query = select(t.shards).where(t.shards.c.round_id == round_id).order_by(t.shards.c.shard_id)
    return tuple(rows.shard(row) for row in tx.execute(query))


def contributions(tx: Connection, shard_id: str) -> tuple[ContributionRecord, ...]:
    """The updates in a shard, always in the same order."""
    query = rows.select_contributions().where(t.assignments.c.shard_id == shard_id)
    return tuple(rows.contribution(row) for row in tx.execute(query))


def _held(tx: Connection, shard_id: str, token: int, values: dict[str, object]) -> bool:
    changed = tx.execute(
        update(t.shards)
        .where(t.shards.c.shard_id == shard_id)
        .where(t.shards.c.lease_token == token)
        .where(t.shards.c.sum_sha256.is_(None))
        .values(values)
    )
    return changed.rowcount == 1
