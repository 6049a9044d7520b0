"""The sums of a round as chores that workers claim: shards while reports arrive, and the closing when they are there.

A worker claims a chore in one transaction, does it outside of any, and settles it in another, with the token of its
claim. So a chore may be done twice, by a worker that was thought dead and by its heir, but it is settled once; and as a
round is completed in one transaction with its checkpoint and its result, so is each update counted once.
"""

import uuid
from dataclasses import dataclass
from typing import ClassVar

from sqlalchemy import Connection

from orchestrator.db import queries
from orchestrator.db.records import CheckpointRecord, ContributionRecord, Lease, RoundRecord, ShardRecord
from orchestrator.domain import sums
from orchestrator.domain.rounds import RoundState
from orchestrator.domain.sums import LEASE_SECONDS, Chore, Shards, next_chore
from orchestrator.domain.tasks import FAILED_ROUNDS_IN_A_ROW, TaskState
from orchestrator.services import asynchronous, round_clock
from orchestrator.services.aggregation import RoundResult, RoundStart
from plans.accumulators.work import is_summed_in_parts
from wire.messages import Resource


@dataclass(frozen=True)
class ShardClaim:
    """A shard to sum, of a round that started from this checkpoint."""

    round: RoundRecord
    lease: Lease
    checkpoint: CheckpointRecord
    shard_id: str
    contributions: tuple[ContributionRecord, ...]
    name: ClassVar[str] = "sum a shard"


@dataclass(frozen=True)
class ClosingClaim:
    """A round to close: its partial sums, and what is in none of them.

    Attributes:
        checkpoint: the state that the round started from.
        reports: all that it counts.
    """

    round: RoundRecord
    lease: Lease
    checkpoint: CheckpointRecord
    shards: tuple[ShardRecord, ...]
    rest: tuple[ContributionRecord, ...]
    reports: tuple[ContributionRecord, ...]
    name: ClassVar[str] = "close a round"


Claim = ShardClaim | ClosingClaim


def claim(tx: Connection, round_id: str, worker: str, now: float) -> Claim | None:
    """The next chore of a round that nobody does, if there is one; from now on it is this worker's."""
    round_ = queries.rounds.by_id(tx, round_id)
    if round_ is None or round_.state not in (RoundState.SELECTION, RoundState.REPORTING, RoundState.AGGREGATION):
        return None
    until = now + LEASE_SECONDS
    left = queries.shards.abandoned_by_its_worker(tx, round_id, now)
    if left is not None:
        lease = Lease(worker, until, left.lease_token + 1)
        queries.shards.lease(tx, left.shard_id, lease)
        return _shard(tx, round_, lease, left.shard_id)
    in_parts = bool(round_.task.work.update) and is_summed_in_parts(round_.task.work)
    shards = Shards(in_parts, round_.sharded, queries.shards.count_unfinished(tx, round_id))
    match next_chore(round_.progress, shards):
        case Chore.SHARD:
            return _new_shard(tx, round_, Lease(worker, until, 1))
        case Chore.CLOSING:
            return _closing(tx, round_, Lease(worker, until, round_.lease_token + 1), now)
        case None:
            return None


def renew(tx: Connection, claimed: Claim, now: float) -> bool:
    """Keep a claim for longer; False where it is lost."""
    return _hold(tx, claimed, now + LEASE_SECONDS)


def let_go(tx: Connection, claimed: Claim, now: float) -> bool:
    """Let a claim be taken over at once; False where it is lost."""
    return _hold(tx, claimed, now)


def _hold(tx: Connection, claimed: Claim, until: float) -> bool:
    if isinstance(claimed, ShardClaim):
        return queries.shards.renew(tx, claimed.shard_id, claimed.lease.token, until)
    return queries.rounds.renew(tx, claimed.round.round_id, claimed.lease.token, until)


def settle_shard(tx: Connection, claimed: ShardClaim, partial_sum: Resource) -> bool:
    """Keep a partial sum; False where the claim is lost."""
    return queries.shards.settle(tx, claimed.shard_id, claimed.lease.token, partial_sum)


def complete_round(tx: Connection, claimed: ClosingClaim, result: RoundResult, now: float) -> bool:
    """Complete a round with its checkpoint and its result, in one transaction; False where the claim is lost."""
    if not _is_held(tx, claimed):
        return False
    round_ = claimed.round
    round_clock.end_round(tx, round_, RoundState.COMPLETED, now, metrics=result.metrics, result=result.result)
    if result.state is not None:
        queries.checkpoints.add(tx, round_.task.task_id, round_.round_number, result.state, now)
    return True


def fail_round(tx: Connection, claimed: Claim, reason: str, now: float) -> bool:
    """Fail a round by our own error; the task too, when that happened several times running."""
    if not _is_held(tx, claimed):
        return False
    task_id = claimed.round.task.task_id
    round_ = queries.rounds.by_id(tx, claimed.round.round_id)
    assert round_ is not None  # noqa: S101 - rounds are never deleted
    round_clock.end_round(tx, round_, RoundState.FAILED, now, reason)
    last = queries.rounds.last_states(tx, task_id, FAILED_ROUNDS_IN_A_ROW)
    if len(last) == FAILED_ROUNDS_IN_A_ROW and set(last) == {RoundState.FAILED}:
        round_clock.end_task(tx, task_id, TaskState.FAILED, now, reason)
    return True


def open_round(tx: Connection, task_id: str, reads_round: int, start: RoundStart, now: float) -> None:
    """Open a task's next round, unless somebody else has, or the task has ended or was rolled back meanwhile."""
    task = queries.tasks.by_id(tx, task_id)
    if task is None or task.state is not TaskState.RUNNING or queries.rounds.open_of_task(tx, task_id):
        return
    base = round_clock.base_checkpoint(tx, task)
    if base is None or base.round_number != reads_round:
        return
    round_id, round_number = str(uuid.uuid4()), queries.rounds.last_number(tx, task_id) + 1
    queries.rounds.add(
        tx,
        round_id,
        task_id,
        round_number,
        reads_round=reads_round,
        broadcast=start.broadcast,
        temp=start.temp,
        now=now,
    )
    if task.policy.is_asynchronous:
        asynchronous.carry_over(tx, task, round_id, round_number, now)
        round_clock.advance(tx, round_id, now)


def _new_shard(tx: Connection, round_: RoundRecord, lease: Lease) -> ShardClaim:
    shard_id = str(uuid.uuid4())
    queries.shards.add(tx, shard_id, round_.round_id, lease, sums.SHARD_UPDATES)
    return _shard(tx, round_, lease, shard_id)


def _shard(tx: Connection, round_: RoundRecord, lease: Lease, shard_id: str) -> ShardClaim:
    contributions = queries.shards.contributions(tx, shard_id)
    return ShardClaim(round_, lease, _checkpoint(tx, round_), shard_id, contributions)


def _closing(tx: Connection, round_: RoundRecord, lease: Lease, now: float) -> ClosingClaim | None:
    if not queries.rounds.lease(tx, round_.round_id, lease, now):
        return None
    return ClosingClaim(
        round_,
        lease,
        _checkpoint(tx, round_),
        queries.shards.of_round(tx, round_.round_id),
        queries.assignments.contributions_in_no_shard(tx, round_.round_id),
        queries.assignments.contributions(tx, round_.round_id),
    )


def _checkpoint(tx: Connection, round_: RoundRecord) -> CheckpointRecord:
    checkpoint = queries.checkpoints.numbered(tx, round_.task.reads or round_.task.task_id, round_.reads_round)
    assert checkpoint is not None  # noqa: S101 - it is kept while an open round has started from it
    return checkpoint


def _is_held(tx: Connection, claimed: Claim) -> bool:
    if isinstance(claimed, ShardClaim):
        return queries.shards.is_held(tx, claimed.shard_id, claimed.lease.token)
    return queries.rounds.is_held(tx, claimed.round.round_id, claimed.lease.token)
