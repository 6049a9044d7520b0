"""Who gets a device that fits several rounds.

A round fills fastest when its devices come one after the other, and half-filled rounds of several tasks may keep one
another from ever being full. So tasks share devices round by round:

- Rounds that have devices go before rounds that have none, and the one that has had devices for longest goes first. It
  soon stops selecting, for its deadline runs; so whatever has begun is soon first, and nothing that has begun starves.
- Which round begins next is drawn, task i with the weight priority_i / cohort_i: then a task that begins n_i rounds of
  c_i devices has n_i × c_i of them, in proportion to its priority. Every weight is positive: no task waits for ever.

- An asynchronous round takes devices one by one for ever. Each of them is a beginning of its own, of one device, so its
  task too has its share, and rounds that have begun fill before it.

The draw is a race of exponential clocks, the least of -log(1 - u) / weight: the first is task i with the probability
w_i / Σ w, and the order of the others follows from the same rule (Efraimidis and Spirakis, "Weighted random sampling
with a reservoir", 2006). It needs no counters, so replicas need not agree on any.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from orchestrator.domain.pacing import Numbers

T = TypeVar("T")


@dataclass(frozen=True)
class Claim:
    """What decides a round's turn: since when it has had devices (None for not yet), its priority and its cohort."""

    first_assigned_at: float | None
    priority: float
    cohort: int


def finish(draw: Numbers, priority: Numbers, cohort: Numbers) -> Numbers:
    """When a round's clock rings; whose rings first begins. `draw` is a random number in [0, 1)."""
    rings: Numbers = -np.log1p(-np.asarray(draw)) * cohort / priority
    return rings


def in_turn(rounds: Sequence[tuple[Claim, T]], draws: Sequence[float]) -> list[T]:
    """Rounds in the order in which they are offered a device.

    Args:
        draws: a random number in [0, 1) for each of the rounds.
    """
    begun = [(claim.first_assigned_at, place) for place, (claim, _) in enumerate(rounds) if _has_begun(claim)]
    fresh = [
        (float(finish(draw, claim.priority, claim.cohort)), place)
        for place, ((claim, _), draw) in enumerate(zip(rounds, draws, strict=True))
        if not _has_begun(claim)
    ]
    return [rounds[place][1] for _, place in (*sorted(begun), *sorted(fresh))]


def _has_begun(claim: Claim) -> bool:
    return claim.first_assigned_at is not None
