"""The operators' routes of the model registry: checkpoints, their labels, comparisons and rollbacks."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from orchestrator.api.access import ContextOf, Operator, OperatorKey
from orchestrator.api.exchange import REFUSALS, described, read_message, reply
from orchestrator.api.paging import Paging
from orchestrator.api.repeating import IdempotencyKey, make, repeatable
from orchestrator.db import queries
from orchestrator.services import registry
from wire import routes
from wire.operator_messages import MAX_COUNT, CheckpointPage, CheckpointView
from wire.registry_messages import Comparison, LabelPage, RollbackRequest

router = APIRouter(tags=["registry"], dependencies=[Operator])

CheckpointNumber = Annotated[int, Path(ge=0, le=MAX_COUNT, description="0 is the state that the task began with")]
_MODEL_FILE: dict[int | str, dict[str, Any]] = {200: {"description": "A model file", "content": {routes.OCTETS: {}}}}
_LABELS = routes.checkpoint_label("{task_id}", "{round_number}", "{label}")


@router.get(routes.task_checkpoints("{task_id}"), **described(gives=CheckpointPage))
async def list_checkpoints(task_id: str, context: ContextOf, paging: Paging) -> Response:
    """A task's checkpoints, in the order of their rounds; each can be fetched as a resource."""
    return reply(await context.database.read(lambda tx: registry.checkpoint_page(tx, task_id, paging)))


@router.get(routes.checkpoint_comparison("{task_id}", "{round_number}"), **described(gives=Comparison))
async def compare(
    task_id: str,
    round_number: CheckpointNumber,
    context: ContextOf,
    other: Annotated[int, Query(alias="with", ge=0, le=MAX_COUNT, description="Another checkpoint of the task")],
) -> Response:
    """Two checkpoints beside each other: how far each tensor is from the other, and the metrics of their rounds."""
    return reply(await registry.comparison(context, task_id, round_number, other))


@router.get(
    routes.checkpoint_model("{task_id}", "{round_number}"),
    response_class=Response,
    responses=_MODEL_FILE | REFUSALS,
)
async def get_model(task_id: str, round_number: CheckpointNumber, context: ContextOf) -> Response:
    """A checkpoint as a model file: the client's TFLite program and the values to give it."""
    return Response(await registry.model_file(context, task_id, round_number), media_type=routes.OCTETS)


@router.put(_LABELS, **described(gives=CheckpointView))
async def put_label(task_id: str, round_number: CheckpointNumber, label: str, context: ContextOf) -> Response:
    """Put a label on a checkpoint. A label is on one checkpoint of a population at a time."""
    return reply(await registry.put_label(context, task_id, round_number, label))


@router.delete(_LABELS, **described(gives=CheckpointView))
async def remove_label(task_id: str, round_number: CheckpointNumber, label: str, context: ContextOf) -> Response:
    """Take a label off a checkpoint."""
    return reply(
        await context.database.write(
            lambda tx: registry.remove_label(tx, task_id, round_number, label, context.clock())
        )
    )


@router.get(routes.LABELS, **described(gives=LabelPage))
async def list_labels(
    context: ContextOf,
    paging: Paging,
    population: Annotated[str | None, Query(description="Only of this population")] = None,
) -> Response:
    """Labels, by population and name."""
    page = await context.database.read(lambda tx: queries.labels.by_name(tx, paging, population))
    return reply(LabelPage(page.rows, page.next_cursor))


@router.post(routes.task_rollback("{task_id}"), **described(takes=RollbackRequest, gives=CheckpointView, status=201))
async def roll_back(
    task_id: str, request: Request, context: ContextOf, api_key: OperatorKey, key: IdempotencyKey = None
) -> Response:
    """Let a running task go on from an earlier checkpoint: a new one with its state. The open round is cancelled."""
    message = await read_message(request, RollbackRequest, context.settings)
    answer = await make(
        context,
        repeatable(request, api_key, key, message),
        lambda tx, now: registry.roll_back(tx, task_id, message.round_number, now),
    )
    context.wake.set()
    return answer
