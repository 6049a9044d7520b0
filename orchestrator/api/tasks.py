"""The operators' routes for tasks, their rounds and their checkpoints."""

import tempfile
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from starlette.datastructures import FormData, UploadFile

from orchestrator.api.access import ContextOf, Operator
from orchestrator.api.exchange import described, reply
from orchestrator.context import Context
from orchestrator.db import queries
from orchestrator.errors import InvalidRequestError
from orchestrator.services import exporting, results, tasks
from orchestrator.services.tasks import StoredPlan
from wire import codec, routes
from wire.errors import ErrorCode
from wire.operator_messages import (
    MAX_COUNT,
    CheckpointPage,
    CheckpointView,
    ResultView,
    RoundPage,
    TaskPage,
    TaskRequest,
    TaskView,
)

router = APIRouter(tags=["tasks"], dependencies=[Operator])

_NEWEST = 200
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
async def push(request: Request, context: ContextOf) -> Response:
    """Push a task: a plan, or a `.keras` model with its training settings, and the policy of its rounds."""
    _check_length(request, context.settings.max_task_bytes)
    async with request.form(max_files=1, max_fields=1, max_part_size=context.settings.max_document_bytes) as form:
        message = _task_request(form)
        plan = await _stored_plan(context, form, message)
    task = await context.database.write(
        lambda tx: tasks.task_view(tx, tasks.push(tx, message, plan, context.signer, context.clock()))
    )
    context.wake.set()
    return reply(task, 201)


@router.get(routes.TASKS, **described(gives=TaskPage))
async def list_tasks(context: ContextOf) -> Response:
    """The newest tasks."""
    views = await context.database.read(
        lambda tx: tuple(tasks.task_view(tx, task) for task in queries.tasks.newest(tx, _NEWEST))
    )
    return reply(TaskPage(views))


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


@router.get(routes.task_rounds("{task_id}"), **described(gives=RoundPage))
async def list_rounds(task_id: str, context: ContextOf) -> Response:
    """A task's rounds, in their order."""
    return reply(RoundPage(await context.database.read(lambda tx: tasks.round_views(tx, task_id))))


@router.get(routes.task_checkpoints("{task_id}"), **described(gives=CheckpointPage))
async def list_checkpoints(task_id: str, context: ContextOf) -> Response:
    """A task's checkpoints, in the order of their rounds; each can be fetched as a resource."""
    kept = await context.database.read(
        lambda tx: queries.checkpoints.of_task(tx, tasks.existing_task(tx, task_id).task_id)
    )
    views = (CheckpointView(c.round_number, c.resource.sha256, c.resource.size_bytes, c.created_at) for c in kept)
    return reply(CheckpointPage(tuple(views)))


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
