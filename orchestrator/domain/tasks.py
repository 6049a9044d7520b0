"""The life of a task.

    RUNNING ◀──▶ PAUSED        either ──▶ COMPLETED | CANCELLED | FAILED

A paused task selects no device and opens no round; devices that are at work report, and their round goes on. A task
fails when our own part failed in several rounds running: the same error would only come again.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from wire.operator_messages import RoundPolicy, StopCondition

FAILED_ROUNDS_IN_A_ROW = 3


class TaskState(StrEnum):
    """Where a task stands."""

    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"


_ENDS = frozenset({TaskState.COMPLETED, TaskState.CANCELLED, TaskState.FAILED})
TRANSITIONS: dict[TaskState, frozenset[TaskState]] = {
    TaskState.RUNNING: _ENDS | {TaskState.PAUSED},
    TaskState.PAUSED: _ENDS | {TaskState.RUNNING},
    TaskState.COMPLETED: frozenset(),
    TaskState.CANCELLED: frozenset(),
    TaskState.FAILED: frozenset(),
}
OPEN = frozenset(state for state, following in TRANSITIONS.items() if following)


def time_is_over(policy: RoundPolicy, created_at: float, now: float) -> bool:
    """Whether no round of a task may begin any more."""
    return policy.time_limit_seconds is not None and now >= created_at + policy.time_limit_seconds


def completed_because(
    policy: RoundPolicy, completed: int, newest_metrics: Sequence[Mapping[str, float]], created_at: float, now: float
) -> str | None:
    """Why a task is complete, or None where its next round may begin.

    Args:
        completed: how many of its rounds were completed.
        newest_metrics: of its last completed rounds, as many as the policy's stop condition looks at.
    """
    if completed >= policy.rounds:
        return f"{completed} rounds were completed"
    if policy.stop_when is not None and _is_fulfilled(policy.stop_when, newest_metrics):
        return _in_words(policy.stop_when)
    if time_is_over(policy, created_at, now):
        return f"its {policy.time_limit_seconds:g} s are over"
    return None


def _is_fulfilled(condition: StopCondition, newest_metrics: Sequence[Mapping[str, float]]) -> bool:
    values = [metrics.get(condition.metric) for metrics in newest_metrics[: condition.rounds]]
    return len(values) == condition.rounds and all(
        value is not None and _is_beyond(condition, value) for value in values
    )


def _is_beyond(condition: StopCondition, value: float) -> bool:
    if condition.above is not None:
        return value > condition.above
    return condition.below is not None and value < condition.below


def _in_words(condition: StopCondition) -> str:
    bound = f"above {condition.above:g}" if condition.above is not None else f"below {condition.below:g}"
    rounds = f" in {condition.rounds} rounds running" if condition.rounds > 1 else ""
    return f"{condition.metric} was {bound}{rounds}"
