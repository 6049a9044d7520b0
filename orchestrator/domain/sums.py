"""What a worker sums next of a round.

Updates are summed while others still arrive: as soon as a *shard* of them is there, a worker claims it, sums it and
puts the partial sum away. Which updates a shard holds is settled with the claim, so whoever takes it over makes the
same bytes. When the round has its reports, one worker claims the *closing*: it adds the partial sums, and the few
updates that are in no shard, and makes the new state.

A claim is a lease. A worker that works on renews it; one that is gone loses it, and its token with it: what it brings
afterwards is refused.
"""

from dataclasses import dataclass
from enum import StrEnum

from orchestrator.domain.rounds import Progress, RoundState

SHARD_UPDATES = 32
LEASE_SECONDS = 60.0
RENEWAL_SECONDS = LEASE_SECONDS / 4


class Chore(StrEnum):
    """What may be claimed."""

    SHARD = "shard"
    CLOSING = "closing"


@dataclass(frozen=True)
class Shards:
    """How far the sum of a round is.

    Attributes:
        is_in_parts: whether its updates are summed in shards at all; robust means take them all at once.
        claimed: how many of its updates are in shards.
        unfinished: how many shards are claimed and not yet summed.
    """

    is_in_parts: bool
    claimed: int
    unfinished: int


def next_chore(progress: Progress, shards: Shards) -> Chore | None:
    """What of a round a free worker claims now, if there is something."""
    waiting = progress.reported - shards.claimed
    if shards.is_in_parts and waiting >= SHARD_UPDATES:
        return Chore.SHARD
    if progress.state is RoundState.AGGREGATION and shards.unfinished == 0:
        return Chore.CLOSING
    return None


def may_be_due(progress: Progress, sharded: int) -> bool:
    """Whether `next_chore` may find something, from what stands in the round's row alone."""
    return progress.state is RoundState.AGGREGATION or progress.reported - sharded >= SHARD_UPDATES
