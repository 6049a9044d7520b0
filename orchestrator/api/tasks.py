"""The operators' routes for tasks and their rounds."""

import asyncio
import hashlib
import tempfile
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as PathPart
from starlette.datastructures import FormData, UploadFile

from orchestrator.api.access import ContextOf, Operator, OperatorKey
from orchestrator.api.exchange import described, reply
from orchestrator.api.paging import Paging
from orchestrator.api.repeating import IdempotencyKey, earlier_answer, make, repeatable
from orchestrator.context import Context
from orchestrator.domain.assignments import AssignmentState
from orchestrator.domain.rounds import RoundState
from orchestrator.domain.tasks import TaskState
from orchestrator.errors import InvalidRequestError
from orchestrator.services import exporting, results, round_views, tasks
from orchestrator.services.tasks import StoredPlan
from wire import codec, routes
from wire.errors import ErrorCode
from wire.operator_messages import (
    MAX_COUNT,
    AssignmentPage,
    ResultView,
    RoundDetail,
    RoundPage,
    TaskPage,
    TaskRequest,
    TaskView,
)

router = APIRouter(tags=["tasks"], dependencies=[Operator])

RoundNumber = Annotated[int, PathPart(ge=1, le=MAX_COUNT)]
_FORM = {
    "type": "object",
    "required": ["task"],
    "properties": {
        "task": {"type": "string", "description": "A TaskRequest as JSON"},
        "plan": {"type": "string", "format": "binary", "description": "A .plan file"},
        "model": {
            "type": "string",
            "format": "binary",
            "description": "A .keras file, which the server exports itself",
        },
    },
}
_PUSH = described(gives=TaskView, status=201) | {
    "openapi_extra": {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}}
}


@router.post(routes.TASKS, **_PUSH)
async def push(request: Request, context: ContextOf, api_key: OperatorKey, key: IdempotencyKey = None) -> Response:
    """Push a task: a plan, or a `.keras` model with its training settings, and the policy of its rounds."""
    _check_length(request, context.settings.max_task_bytes)
    async with request.form(max_files=1, max_fields=1, max_part_size=context.settings.max_document_bytes) as form:
        message = _task_request(form)
        digests = [await _digest(form.get(name)) for name in ("plan", "model")]
        asked = repeatable(request, api_key, key, message, *digests)
        if (earlier := await earlier_answer(context, asked)) is not None:
            return earlier
        plan = await _stored_plan(context, form, message)
    answer = await make(
        context, asked, lambda tx, now: tasks.task_view(tx, tasks.push(tx, message, plan, context.signer, now))
    )
    context.wake.set()
    return answer


@router.get(routes.TASKS, **described(gives=TaskPage))
async def list_tasks(
    context: ContextOf,
    paging: Paging,
    population: Annotated[str | None, Query(description="Only of this population")] = None,
    state: Annotated[TaskState | None, Query(description="Only those in this state")] = None,
) -> Response:
    """Tasks, newest first."""
    return reply(
        await context.database.read(lambda tx: tasks.task_page(tx, paging, population=population, state=state))
    )


@router.get(routes.task("{task_id}"), **described(gives=TaskView))
async def show_task(task_id: str, context: ContextOf) -> Response:
    """One task."""
    return reply(await context.database.read(lambda tx: tasks.task_view(tx, tasks.existing_task(tx, task_id))))


@router.post(routes.task_cancel("{task_id}"), **described(gives=TaskView))
async def cancel(task_id: str, context: ContextOf) -> Response:
    """Stop a task and the round it is in."""
    return reply(
        await context.database.write(lambda tx: tasks.task_view(tx, tasks.cancel(tx, task_id, context.clock())))
    )


@router.post(routes.task_pause("{task_id}"), **described(gives=TaskView))
async def pause(task_id: str, context: ContextOf) -> Response:
    """Let a task select no device and open no round; what has begun goes on."""
    return reply(await context.database.write(lambda tx: tasks.task_view(tx, tasks.pause(tx, task_id))))


@router.post(routes.task_resume("{task_id}"), **described(gives=TaskView))
async def resume(task_id: str, context: ContextOf) -> Response:
    """Let a paused task go on."""
    resumed = await context.database.write(lambda tx: tasks.task_view(tx, tasks.resume(tx, task_id)))
    context.wake.set()
    return reply(resumed)


@router.get(routes.task_rounds("{task_id}"), **described(gives=RoundPage))
async def list_rounds(
    task_id: str,
    context: ContextOf,
    paging: Paging,
    state: Annotated[RoundState | None, Query(description="Only those in this state")] = None,
) -> Response:
    """A task's rounds, in their order."""
    return reply(await context.database.read(lambda tx: round_views.round_page(tx, task_id, paging, state)))


@router.get(routes.task_round("{task_id}", "{round_number}"), **described(gives=RoundDetail))
async def show_round(task_id: str, round_number: RoundNumber, context: ContextOf) -> Response:
    """A round, with how many of its assignments are in which state, and why some ended without a report."""
    return reply(await context.database.read(lambda tx: round_views.round_detail(tx, task_id, round_number)))


@router.get(routes.task_assignments("{task_id}", "{round_number}"), **described(gives=AssignmentPage))
async def list_assignments(
    task_id: str,
    round_number: RoundNumber,
    context: ContextOf,
    paging: Paging,
    state: Annotated[AssignmentState | None, Query(description="Only those in this state")] = None,
) -> Response:
    """A round's assignments, by their devices' ids."""
    return reply(
        await context.database.read(lambda tx: round_views.assignment_page(tx, task_id, round_number, paging, state))
    )


@router.get(routes.task_result("{task_id}"), **described(gives=ResultView))
async def show_result(
    task_id: str,
    context: ContextOf,
    round_number: Annotated[
        int | None, Query(alias="round", ge=1, le=MAX_COUNT, description="The last completed one by default")
    ] = None,
) -> Response:
    """What a round of a task gave."""
    return reply(await results.result_view(context, task_id, round_number))


def _check_length(request: Request, limit: int) -> None:
    declared = request.headers.get("content-length", "")
    if not declared.isdigit():
        raise InvalidRequestError("a pushed task needs a Content-Length header")
    if int(declared) > limit:
        raise InvalidRequestError(f"the task has {declared} bytes; at most {limit} are taken", ErrorCode.TOO_LARGE)


def _task_request(form: FormData) -> TaskRequest:
    text = form.get("task")
    if not isinstance(text, str):
        raise InvalidRequestError("the form needs a field `task` with the task as JSON")
    return codec.loads(TaskRequest, text)


async def _digest(field: UploadFile | str | None) -> bytes:
    """What stands for a form's file in the digest of a request."""
    if not isinstance(field, UploadFile):
        return b""
    file = field.file
    found = await asyncio.to_thread(lambda: hashlib.file_digest(file, "sha256"))  # type: ignore[arg-type]
    await field.seek(0)
    return found.digest()


async def _stored_plan(context: Context, form: FormData, message: TaskRequest) -> StoredPlan | None:
    plan, model = form.get("plan"), form.get("model")
    if plan is None and model is None:
        return None
    if plan is not None and message.export:
        raise InvalidRequestError("`export` has settings for a model, but a plan came, which has its own")
    data = await (_upload(plan, "plan").read() if model is None else _exported(context, model, message))
    return await context.in_store_thread(lambda: tasks.store_plan(context.store, data))


async def _exported(context: Context, model: UploadFile | str, message: TaskRequest) -> bytes:
    with tempfile.TemporaryDirectory(prefix="fedelta-model-") as folder:
        path = Path(folder) / "model.keras"
        path.write_bytes(await _upload(model, "model").read())
        settings = {"name": message.name} | message.export
        return await exporting.export_model(path, settings, context.settings.export_seconds)


def _upload(field: UploadFile | str | None, name: str) -> UploadFile:
    if not isinstance(field, UploadFile):
        raise InvalidRequestError(f"the form's field `{name}` must be a file")
    return field
