"""The life of a task.

    RUNNING ──▶ COMPLETED | CANCELLED | FAILED

A task fails when our own part failed in several rounds running: the same error would only come again.
"""

from enum import StrEnum

FAILED_ROUNDS_IN_A_ROW = 3


class TaskState(StrEnum):
    """Where a task stands."""

    RUNNING = "running"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"


TRANSITIONS: dict[TaskState, frozenset[TaskState]] = {
    TaskState.RUNNING: frozenset({TaskState.COMPLETED, TaskState.CANCELLED, TaskState.FAILED}),
    TaskState.COMPLETED: frozenset(),
    TaskState.CANCELLED: frozenset(),
    TaskState.FAILED: frozenset(),
}
