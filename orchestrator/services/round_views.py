"""Rounds as operators see them."""

from sqlalchemy import Connection

from orchestrator.db import queries
from orchestrator.db.records import RoundRecord
from orchestrator.domain.assignments import AssignmentState
from orchestrator.domain.paging import PageRequest
from orchestrator.domain.rounds import RoundState
from orchestrator.errors import NotFoundError
from orchestrator.services import tasks
from wire.operator_messages import AssignmentPage, RoundDetail, RoundPage, RoundView

_REASONS_SHOWN = 20


def round_page(tx: Connection, task_id: str, request: PageRequest, state: RoundState | None) -> RoundPage:
    """A page of a task's rounds.

    Raises:
        NotFoundError: there is no such task.
    """
    page = queries.rounds.of_task(tx, tasks.existing_task(tx, task_id).task_id, request, state)
    return RoundPage(tuple(round_view(round_) for round_ in page.rows), page.next_cursor)


def round_detail(tx: Connection, task_id: str, round_number: int) -> RoundDetail:
    """A round with what became of its devices.

    Raises:
        NotFoundError: there is no such task or round.
    """
    round_ = existing_round(tx, task_id, round_number)
    return RoundDetail(
        round_view(round_),
        {state.value: 0 for state in AssignmentState} | queries.assignments.counts(tx, round_.round_id),
        queries.assignments.reasons(tx, round_.round_id, _REASONS_SHOWN),
    )


def assignment_page(
    tx: Connection, task_id: str, round_number: int, request: PageRequest, state: AssignmentState | None
) -> AssignmentPage:
    """A page of a round's assignments.

    Raises:
        NotFoundError: there is no such task or round.
    """
    round_ = existing_round(tx, task_id, round_number)
    page = queries.assignments.of_round(tx, round_.round_id, request, state)
    return AssignmentPage(page.rows, page.next_cursor)


def existing_round(tx: Connection, task_id: str, round_number: int) -> RoundRecord:
    """A task's round of that number.

    Raises:
        NotFoundError: there is no such task or round.
    """
    task = tasks.existing_task(tx, task_id)
    round_ = queries.rounds.numbered(tx, task_id, round_number)
    if round_ is None:
        raise NotFoundError(f"the task {task.name!r} has no round {round_number}")
    return round_


def round_view(round_: RoundRecord) -> RoundView:
    """A round as it stands."""
    return RoundView(
        round_number=round_.round_number,
        state=round_.state.value,
        reads_round=round_.reads_round,
        assigned=round_.progress.assigned,
        reported=round_.progress.reported,
        created_at=round_.created_at,
        ended_at=round_.ended_at,
        metrics=round_.metrics,
        reason=round_.reason,
    )
