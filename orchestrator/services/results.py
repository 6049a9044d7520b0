"""What a completed round gave, for operators."""

from sqlalchemy import Connection

from orchestrator.context import Context
from orchestrator.db import queries
from orchestrator.db.records import RoundRecord, TaskRecord
from orchestrator.domain import results
from orchestrator.domain.rounds import OPEN, RoundState
from orchestrator.errors import ConflictError, NotFoundError
from orchestrator.services import round_views, tasks
from wire import tensors
from wire.messages import Resource
from wire.operator_messages import ResultView


async def result_view(context: Context, task_id: str, round_number: int | None) -> ResultView:
    """The result of a task's round, or of its last completed one.

    Raises:
        NotFoundError: there is no such task or round, or its work gives no result.
        ConflictError: the round has not been completed.
    """
    round_, resource = await context.database.read(lambda tx: _completed(tx, task_id, round_number))
    given = tensors.decode(await context.in_store_thread(lambda: context.store.read(resource.sha256)))
    return ResultView(
        task_id=task_id,
        round_number=round_.round_number,
        type=round_.task.manifest.type,
        sha256=resource.sha256,
        size_bytes=resource.size_bytes,
        values=results.shown(round_.task.work, given),
    )


def _completed(tx: Connection, task_id: str, round_number: int | None) -> tuple[RoundRecord, Resource]:
    task = tasks.existing_task(tx, task_id)
    if not task.work.result:
        raise NotFoundError(f"the work {task.work_name!r} of {task.name!r} gives no result; look at its checkpoints")
    round_ = _last(tx, task) if round_number is None else _numbered(tx, task, round_number)
    assert round_.result is not None  # noqa: S101 - a round of such a work is completed with its result
    return round_, round_.result


def _last(tx: Connection, task: TaskRecord) -> RoundRecord:
    round_ = queries.rounds.last_completed(tx, task.task_id)
    if round_ is None:
        raise ConflictError(
            f"no round of {task.name!r} has been completed yet; the task is {task.state.value} {task.failure}".rstrip()
        )
    return round_


def _numbered(tx: Connection, task: TaskRecord, round_number: int) -> RoundRecord:
    round_ = round_views.existing_round(tx, task.task_id, round_number)
    if round_.state is not RoundState.COMPLETED:
        ending = "it gives its result when it is completed" if round_.state in OPEN else round_.reason
        raise ConflictError(f"round {round_number} of {task.name!r} is {round_.state.value}; {ending}")
    return round_
