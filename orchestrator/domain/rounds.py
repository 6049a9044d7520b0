"""The life of a round: one table of legal transitions, and the rule that says when each is due.

    SELECTION ──▶ REPORTING ──▶ AGGREGATION ──▶ COMPLETED
        │             │
        └── ABANDONED ┘               (any open state ──▶ FAILED by our error, or ──▶ CANCELLED with its task)

A round that too few devices report in is abandoned, and says so; a round that we fail is failed. Neither is silent,
and a round that has ended never changes again.

A round whose devices have all ended waits for others only while others may come. Where every device that is there has
had its turn, the round goes on at once with the reports that it needs, and is abandoned at once where it has none, so
that whoever waits for it hears why. (One with some reports, too few, waits to its deadline: they would be lost.)
Devices that cannot work would then meet a new round at every check-in; so after several abandoned rounds the next one
begins later and later, up to the time of a selection.

An asynchronous round is a step of FedBuff's server (Nguyen et al., 2022). It has no devices of its own: so many of its
task's are at work at any time, each with the broadcast of the round that selected it, and a report counts in whichever
round is open when it comes. So nothing is lost by waiting, and no deadline ends a round: with its reports it is summed,
and who is at work goes on, each up to a deadline of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile

from wire.operator_messages import RoundPolicy


class RoundState(StrEnum):
    """Where a round stands."""

    SELECTION = "selection"
    REPORTING = "reporting"
    AGGREGATION = "aggregation"
    COMPLETED = "completed"
    ABANDONED = "abandoned"
    FAILED = "failed"
    CANCELLED = "cancelled"


_ENDED_BY_US = frozenset({RoundState.FAILED, RoundState.CANCELLED})

TRANSITIONS: dict[RoundState, frozenset[RoundState]] = {
    RoundState.SELECTION: frozenset({RoundState.REPORTING, RoundState.ABANDONED}) | _ENDED_BY_US,
    RoundState.REPORTING: frozenset({RoundState.AGGREGATION, RoundState.ABANDONED}) | _ENDED_BY_US,
    RoundState.AGGREGATION: frozenset({RoundState.COMPLETED}) | _ENDED_BY_US,
    RoundState.COMPLETED: frozenset(),
    RoundState.ABANDONED: frozenset(),
    RoundState.FAILED: frozenset(),
    RoundState.CANCELLED: frozenset(),
}

OPEN = frozenset(state for state, following in TRANSITIONS.items() if following)
ACCEPTS_REPORTS = frozenset({RoundState.SELECTION, RoundState.REPORTING})


@dataclass(frozen=True)
class Progress:
    """What the rule needs to know of a round.

    Attributes:
        assigned: devices selected so far; of an asynchronous round also those that it found at work.
        reported: completed reports, each of which will be counted.
        settled: assignments that ended without an update (declined or failed; in an asynchronous round also expired).
        first_assigned_at, reporting_since: moments, None where they have not come.
    """

    state: RoundState
    assigned: int
    reported: int
    settled: int
    first_assigned_at: float | None
    reporting_since: float | None

    @property
    def places_taken(self) -> int:
        """Places of the cohort that are taken; a device that declines or fails gives its place back."""
        return self.assigned - self.settled

    @property
    def outstanding(self) -> int:
        """Devices that may still report."""
        return self.assigned - self.reported - self.settled


@dataclass(frozen=True)
class Transition:
    """A step that is due, and why, for people."""

    state: RoundState
    reason: str = ""


def due_transition(
    progress: Progress, policy: RoundPolicy, now: float, *, others_may_come: bool = True
) -> Transition | None:
    """The transition that is due for a round at this moment, if one is. Only waiting states have one.

    Args:
        others_may_come: whether there is a device that the round has not had yet; asked only where `is_deserted`.
    """
    match progress.state:
        case RoundState.SELECTION if policy.is_asynchronous:
            return _due_while_asynchronous(progress, policy, now, others_may_come)
        case RoundState.SELECTION:
            return _due_in_selection(progress, policy, now, others_may_come)
        case RoundState.REPORTING:
            return _due_in_reporting(progress, policy, now)
        case _:
            return None


def is_deserted(progress: Progress) -> bool:
    """Whether a round still selects, had devices, and none of them is at work any more."""
    return progress.state is RoundState.SELECTION and progress.assigned > 0 and progress.outstanding == 0


def _due_in_selection(progress: Progress, policy: RoundPolicy, now: float, others_may_come: bool) -> Transition | None:
    if progress.places_taken >= policy.cohort or progress.reported >= policy.goal:
        return Transition(RoundState.REPORTING)
    if progress.first_assigned_at is None:
        return None
    nobody_left = is_deserted(progress) and not others_may_come
    if nobody_left and progress.reported >= policy.minimum:
        return Transition(RoundState.REPORTING)
    all_gave_up = nobody_left and not progress.reported
    if not all_gave_up and now < progress.first_assigned_at + policy.selection_deadline_seconds:
        return None
    if progress.reported + progress.outstanding >= policy.minimum:
        return Transition(RoundState.REPORTING)
    gave_up = f", {progress.settled} of them gave up" if progress.settled else ""
    when = ", all that are there" if all_gave_up else f" in {policy.selection_deadline_seconds:g} s"
    return Transition(
        RoundState.ABANDONED,
        f"{progress.assigned} devices were selected{when}{gave_up}; {policy.minimum} reports are needed",
    )


def _due_while_asynchronous(
    progress: Progress, policy: RoundPolicy, now: float, others_may_come: bool
) -> Transition | None:
    if progress.reported >= policy.goal:
        return Transition(RoundState.REPORTING)
    # Others who are there may not be of those that the task selects: they are waited for no longer than a selection.
    began = now if progress.first_assigned_at is None else progress.first_assigned_at
    nobody_comes = not others_may_come or now >= began + policy.selection_deadline_seconds
    if is_deserted(progress) and nobody_comes and progress.reported >= policy.minimum:
        return Transition(RoundState.REPORTING)
    return None


def _due_in_reporting(progress: Progress, policy: RoundPolicy, now: float) -> Transition | None:
    if progress.reported >= policy.goal:
        return Transition(RoundState.AGGREGATION)
    since = now if progress.reporting_since is None else progress.reporting_since
    late = now >= since + policy.reporting_deadline_seconds
    if not late and progress.outstanding > 0:
        return None
    if progress.reported >= policy.minimum:
        return Transition(RoundState.AGGREGATION)
    when = f"in {policy.reporting_deadline_seconds:g} s" if late else "and no device is left"
    return Transition(RoundState.ABANDONED, f"{progress.reported} devices reported {when}; {policy.minimum} are needed")


def rest_seconds(newest_states: Sequence[RoundState], policy: RoundPolicy) -> float:
    """How long after its last round a task's next one begins: at once, unless several were abandoned in a row.

    Args:
        newest_states: of the task's last rounds, newest first.
    """
    abandoned = sum(1 for _ in takewhile(lambda state: state is RoundState.ABANDONED, newest_states))
    if abandoned <= 1:
        return 0.0
    return min(2.0 ** (abandoned - 2), policy.selection_deadline_seconds)


def is_left_by_all(progress: Progress, policy: RoundPolicy) -> bool:
    """Whether a round has nothing to lose: nobody has come yet, or an asynchronous one has nobody at work any more."""
    if policy.is_asynchronous:
        return progress.outstanding == 0 and progress.reported < policy.minimum
    return progress.assigned == 0


def seconds_left(progress: Progress, policy: RoundPolicy, assigned_at: float, now: float) -> float:
    """How long a device that was selected at a moment has until the last one for its report."""
    if policy.is_asynchronous:
        return max(0.0, assigned_at + policy.reporting_deadline_seconds - now)
    selecting_since = now if progress.first_assigned_at is None else progress.first_assigned_at
    selection_ends = selecting_since + policy.selection_deadline_seconds
    reporting_since = selection_ends if progress.reporting_since is None else progress.reporting_since
    return max(0.0, reporting_since + policy.reporting_deadline_seconds - now)
