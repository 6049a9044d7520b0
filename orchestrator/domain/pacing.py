"""When devices come back: pace steering (Bonawitz et al., "Towards Federated Learning at Scale", MLSys 2019, 2.3).

Devices come as often as the rounds need, and not more. With N devices in the population and R check-ins a second
wanted, a device without work returns after about T = N / R seconds:

- A large population is spread: a wait is drawn from T/2 to 3T/2, so that check-ins do not stampede, now or later.
- A small one is brought together: where even the shortest T lets too few devices come while a round selects, all wait
  for the same moments, the multiples of T, and come within half the time that the round takes for its selection.

N is estimated from the check-ins alone, by Little's law: a device that returns after g seconds was one device for g
seconds, so N = Σ g / (the time over which was counted). Both fade with an hour, so N follows the time of day; a device
that was away for longer, or is new, counts as one from now on. A silence far longer than check-ins lie apart is an
outage of ours rather than the population's end, and does not count as time.

Every function of this module takes NumPy arrays for its numbers as well.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import exp, inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wire.operator_messages import RoundPolicy

Numbers = float | NDArray[Any]

FADING_SECONDS = 3600.0
FIRST_CHECK_IN_SECONDS = 60.0  # a device that enrols checks in soon
_SILENCE = 20.0  # of Poisson arrivals, no silence lasts twenty times the mean: its probability is e^-20
_UNSURE_SECONDS = 60.0  # before so much was counted, the mean itself is a guess
_MARGIN = 2.0  # devices asked to come for a place: not all are eligible, and not all come
_IDLE_SHARE = 0.2  # of the most check-ins: what may come when no round needs any, so that the next task begins soon
_LATEST = 1.5  # a wait's longest, in its means


@dataclass(frozen=True)
class Limits:
    """What an operator allows.

    Attributes:
        shortest_seconds: no device comes more often than about this.
        longest_seconds: no wait is longer, so that a new task finds devices.
        most_per_second: the check-ins that the server is ready to answer; `longest_seconds` goes before it.
    """

    shortest_seconds: float = 2.0
    longest_seconds: float = 3600.0
    most_per_second: float = 500.0


@dataclass(frozen=True)
class Traffic:
    """What is remembered of a population's check-ins; all three fade alike.

    Attributes:
        counted_at: until when was counted.
        exposure_seconds: the time over which was counted.
        check_ins: how many came.
        device_seconds: how long the devices that came had been away, in all.
    """

    counted_at: float
    exposure_seconds: float = 0.0
    check_ins: float = 0.0
    device_seconds: float = 0.0

    @property
    def devices(self) -> float:
        """The estimated size of the population: those of its devices that come back."""
        return self.device_seconds / self.exposure_seconds if self.exposure_seconds > 0 else 0.0


def counted(traffic: Traffic, away_seconds: Numbers, now: float) -> Traffic:
    """The traffic with one more check-in, or with those of an array.

    Args:
        away_seconds: since the device's last check-in; infinity for its first.
    """
    most = (
        _SILENCE * max(traffic.exposure_seconds, _UNSURE_SECONDS) / traffic.check_ins if traffic.check_ins > 0 else inf
    )
    passed = min(max(now - traffic.counted_at, 0.0), max(most, _UNSURE_SECONDS))
    kept = exp(-passed / FADING_SECONDS)
    exposure = traffic.exposure_seconds * kept + FADING_SECONDS * (1 - kept)
    return Traffic(
        counted_at=max(now, traffic.counted_at),
        exposure_seconds=exposure,
        check_ins=traffic.check_ins * kept + float(np.size(away_seconds)),
        device_seconds=traffic.device_seconds * kept + float(np.sum(np.clip(away_seconds, 0.0, exposure))),
    )


@dataclass(frozen=True)
class Wanted:
    """What the open and the coming rounds of a population need.

    Attributes:
        per_second: devices, so that every round fills while it selects.
        places: of the largest round whose devices come together.
        within_seconds: the shortest time in which such a round fills.
    """

    per_second: float = 0.0
    places: int = 0
    within_seconds: float = inf


def wanted(policies: Iterable[tuple[RoundPolicy, bool]]) -> Wanted:
    """What rounds of these policies need; each with whether it is of a task that reads another's checkpoints.

    A round that no longer selects counts like one that does: its task's next round comes, and devices that are told to
    stay away now would not be there. Asynchronous rounds want their places filled as fast, but need nobody together.
    """
    rounds = list(policies)
    together = [policy for policy, _ in rounds if not policy.is_asynchronous]
    return Wanted(
        per_second=sum(
            policy.places / policy.selection_deadline_seconds / _share(policy, reads) for policy, reads in rounds
        ),
        places=max((policy.cohort for policy in together), default=0),
        within_seconds=min((policy.selection_deadline_seconds for policy in together), default=inf),
    )


def _share(policy: RoundPolicy, reads: bool) -> float:
    """The share of the devices that a task may select at all."""
    if not policy.evaluation_share:
        return 1.0
    return policy.evaluation_share if reads else 1 - policy.evaluation_share


def check_ins_per_second(needs: Wanted, limits: Limits) -> float:
    """The rate R at which devices should come."""
    return min(max(_MARGIN * needs.per_second, _IDLE_SHARE * limits.most_per_second), limits.most_per_second)


def usual_wait_seconds(devices: float, needs: Wanted, limits: Limits) -> float:
    """The mean wait T = N / R of a device without work, within the limits."""
    wait = max(devices / check_ins_per_second(needs, limits), limits.shortest_seconds)
    return min(wait, max(limits.shortest_seconds, limits.longest_seconds / _LATEST))


def is_brought_together(devices: float, needs: Wanted, limits: Limits) -> bool:
    """Whether too few of the population would come while a round selects, if they came one by one."""
    half = needs.within_seconds / 2
    wait = usual_wait_seconds(devices, needs, limits)
    return wait > half and devices * half / wait < needs.places


def retry_after_seconds(draw: Numbers, now: float, devices: float, needs: Wanted, limits: Limits) -> Numbers:
    """How long a device without work should wait.

    Args:
        draw: a random number in [0, 1), or an array of them, one a device.
        devices: the population's estimated size.
    """
    wait = usual_wait_seconds(devices, needs, limits)
    if not is_brought_together(devices, needs, limits):
        return wait * (_LATEST - 1 + draw)
    together = (np.floor(now / wait + 0.5) + 1) * wait - now  # half a wait to one and a half
    return float(together) + draw * needs.within_seconds / 2
