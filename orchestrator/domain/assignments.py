"""The life of an assignment: one device's work in one round.

    ASSIGNED ──▶ REPORTED | DECLINED | FAILED | EXPIRED

Only a device ends its assignment, except that a round's end expires those that are still out. (That a device has
trained and not yet reported is known to the device alone.)
"""

from enum import StrEnum

from wire.messages import Outcome


class AssignmentState(StrEnum):
    """Where an assignment stands."""

    ASSIGNED = "assigned"
    REPORTED = "reported"
    DECLINED = "declined"
    FAILED = "failed"
    EXPIRED = "expired"


TRANSITIONS: dict[AssignmentState, frozenset[AssignmentState]] = {
    AssignmentState.ASSIGNED: frozenset(AssignmentState) - {AssignmentState.ASSIGNED},
    AssignmentState.REPORTED: frozenset(),
    AssignmentState.DECLINED: frozenset(),
    AssignmentState.FAILED: frozenset(),
    AssignmentState.EXPIRED: frozenset(),
}

STATE_AFTER: dict[Outcome, AssignmentState] = {
    Outcome.COMPLETED: AssignmentState.REPORTED,
    Outcome.DECLINED: AssignmentState.DECLINED,
    Outcome.FAILED: AssignmentState.FAILED,
}
OUTCOME_OF: dict[AssignmentState, Outcome] = {state: outcome for outcome, state in STATE_AFTER.items()}
