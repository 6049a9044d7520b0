"""The model registry: a task's checkpoints labelled, compared, and gone back to. History is never rewritten.

A rollback makes a new checkpoint with the old one's state. It takes the number after the last round's, and no round
has that number; later rounds start from it as from any other.
"""

import asyncio

from sqlalchemy import Connection

from orchestrator.context import Context
from orchestrator.db import queries
from orchestrator.db.records import CheckpointRecord, DeviceRecord, TaskRecord
from orchestrator.domain import differences
from orchestrator.domain.paging import PageRequest
from orchestrator.domain.rounds import RoundState
from orchestrator.domain.tasks import TaskState
from orchestrator.errors import ConflictError, InvalidRequestError, NotFoundError
from orchestrator.services import asynchronous, round_clock, tasks
from orchestrator.signing import PlanSigner
from orchestrator.storage.protocol import Store
from plans import bundle, inference
from plans.errors import PlanError
from wire import tensors
from wire.errors import ErrorCode
from wire.messages import ReleasedModel
from wire.operator_messages import CheckpointPage, CheckpointView
from wire.registry_messages import Comparison, LabelView, check_label


def existing_checkpoint(tx: Connection, task_id: str, round_number: int) -> CheckpointRecord:
    """A task's checkpoint of that round.

    Raises:
        NotFoundError: there is no such task or checkpoint.
    """
    task = tasks.existing_task(tx, task_id)
    checkpoint = queries.checkpoints.numbered(tx, task_id, round_number)
    if checkpoint is None:
        raise NotFoundError(f"the task {task.name!r} has no checkpoint {round_number}")
    return checkpoint


def checkpoint_page(tx: Connection, task_id: str, request: PageRequest) -> CheckpointPage:
    """A page of a task's checkpoints.

    Raises:
        NotFoundError: there is no such task.
    """
    labels = queries.labels.of_task(tx, tasks.existing_task(tx, task_id).task_id)
    page = queries.checkpoints.of_task(tx, task_id, request)
    return CheckpointPage(tuple(_view(one, labels.get(one.round_number, ())) for one in page.rows), page.next_cursor)


async def put_label(context: Context, task_id: str, round_number: int, label: str) -> CheckpointView:
    """Put a label on a checkpoint; whichever of the population had it has it no more.

    Where the task's plan can predict, the checkpoint's model file is made and kept for the devices.

    Raises:
        InvalidRequestError: it is no label, or the plan cannot predict as it says.
        NotFoundError: there is no such task or checkpoint.
    """
    try:
        check_label(label)
    except ValueError as error:
        raise InvalidRequestError(str(error)) from None
    task, checkpoint = await context.database.read(lambda tx: _to_predict_with(tx, task_id, round_number))
    model = None
    if task.manifest.infer is not None:
        data = await asyncio.to_thread(_model_file, context.store, task, checkpoint)
        model = await asyncio.to_thread(context.store.put, data)

    def put(tx: Connection) -> CheckpointView:
        now = context.clock()
        queries.labels.put(tx, LabelView(task.population, label, task_id, round_number, now), model)
        queries.events.add(tx, "checkpoint.labelled", task_id, now, round_number, label=label)
        return _view(checkpoint, queries.labels.of_task(tx, task_id)[round_number])

    return await context.database.write(put)


async def model_file(context: Context, task_id: str, round_number: int) -> bytes:
    """A checkpoint as a model file.

    Raises:
        NotFoundError: there is no such task or checkpoint, or its plan names no signature that predicts.
    """
    task, checkpoint = await context.database.read(lambda tx: _to_predict_with(tx, task_id, round_number))
    if task.manifest.infer is None:
        raise NotFoundError(f"the plan of {task.name!r} names no signature that predicts; take the checkpoint itself")
    return await asyncio.to_thread(_model_file, context.store, task, checkpoint)


def released_model(tx: Connection, device: DeviceRecord, label: str, signer: PlanSigner) -> ReleasedModel:
    """The model that has a label in a device's population.

    Raises:
        NotFoundError: no checkpoint has it, or one that nobody can predict with.
    """
    found = queries.labels.named(tx, device.population, label)
    model = queries.labels.model_of(tx, device.population, label)
    if found is None or model is None:
        raise NotFoundError(f"the population {device.population!r} has no model with the label {label!r}")
    unsigned = ReleasedModel(label, device.population, found.task_id, found.round_number, model, "", "", "")
    return signer.release(unsigned)


def _to_predict_with(tx: Connection, task_id: str, round_number: int) -> tuple[TaskRecord, CheckpointRecord]:
    return tasks.existing_task(tx, task_id), existing_checkpoint(tx, task_id, round_number)


def _model_file(store: Store, task: TaskRecord, checkpoint: CheckpointRecord) -> bytes:
    plan = bundle.unpack(store.read(task.plan_sha256))
    try:
        return inference.model_of(plan, task.plan_sha256, store.read(checkpoint.resource.sha256))
    except PlanError as error:
        raise InvalidRequestError(f"no model can be made of the checkpoint: {error}", ErrorCode.INVALID_PLAN) from None


def remove_label(tx: Connection, task_id: str, round_number: int, label: str, now: float) -> CheckpointView:
    """Take a label off a checkpoint.

    Raises:
        NotFoundError: there is no such checkpoint, or it does not have the label.
    """
    checkpoint = existing_checkpoint(tx, task_id, round_number)
    population = tasks.existing_task(tx, task_id).population
    found = queries.labels.named(tx, population, label)
    if found is None or (found.task_id, found.round_number) != (task_id, round_number):
        raise NotFoundError(f"checkpoint {round_number} of this task has no label {label!r}")
    queries.labels.remove(tx, population, label)
    queries.events.add(tx, "checkpoint.unlabelled", task_id, now, round_number, label=label)
    return _view(checkpoint, queries.labels.of_task(tx, task_id).get(round_number, ()))


def roll_back(tx: Connection, task_id: str, round_number: int, now: float) -> CheckpointView:
    """Let a running task go on from an earlier checkpoint; the round that it is in is cancelled.

    Raises:
        NotFoundError: there is no such task or checkpoint.
        ConflictError: the task has ended.
    """
    source = existing_checkpoint(tx, task_id, round_number)
    task = tasks.existing_task(tx, task_id)
    if task.state is not TaskState.RUNNING:
        raise ConflictError(
            f"the task {task.name!r} is {task.state.value}; push another that warm-starts from {source.resource.sha256}"
        )
    open_rounds = queries.rounds.open_of_task(tx, task_id)
    if not open_rounds and task.policy.is_asynchronous:
        asynchronous.let_go_of_all(tx, task, now)
    for round_ in open_rounds:
        reason = f"the task was rolled back to checkpoint {round_number}"
        round_clock.end_round(tx, round_, RoundState.CANCELLED, now, reason)
    made = CheckpointRecord(
        task_id, queries.rounds.last_number(tx, task_id) + 1, source.resource, now, task_id, round_number
    )
    queries.checkpoints.keep(tx, made)
    queries.events.add(tx, "task.rolled_back", task_id, now, made.round_number, from_round=round_number)
    return _view(made, ())


async def comparison(context: Context, task_id: str, round_number: int, other: int) -> Comparison:
    """Two checkpoints of a task beside each other.

    Raises:
        NotFoundError: there is no such task, or one of the checkpoints.
    """

    def read(tx: Connection) -> list[tuple[CheckpointRecord, dict[str, float]]]:
        checkpoints = [existing_checkpoint(tx, task_id, number) for number in (round_number, other)]
        return [(checkpoint, _metrics(tx, checkpoint)) for checkpoint in checkpoints]

    (one, metrics), (two, other_metrics) = await context.database.read(read)
    compared = await asyncio.to_thread(
        lambda: differences.between(
            *(tensors.decode(context.store.read(checkpoint.resource.sha256)) for checkpoint in (one, two))
        )
    )
    return Comparison(task_id, round_number, other, compared, metrics, other_metrics)


def _metrics(tx: Connection, checkpoint: CheckpointRecord) -> dict[str, float]:
    """The metrics of the round that made a checkpoint's state; none of a state that no round made."""
    task_id, round_number = checkpoint.task_id, checkpoint.round_number
    origin: CheckpointRecord | None = checkpoint
    while origin is not None and origin.from_round is not None and origin.from_task_id is not None:
        task_id, round_number = origin.from_task_id, origin.from_round
        origin = queries.checkpoints.numbered(tx, task_id, round_number)  # None where a policy kept it no longer
    round_ = queries.rounds.numbered(tx, task_id, round_number)
    return {} if round_ is None else round_.metrics


def _view(checkpoint: CheckpointRecord, labels: tuple[str, ...]) -> CheckpointView:
    return CheckpointView(
        round_number=checkpoint.round_number,
        sha256=checkpoint.resource.sha256,
        size_bytes=checkpoint.resource.size_bytes,
        created_at=checkpoint.created_at,
        labels=labels,
        from_task_id=checkpoint.from_task_id,
        from_round=checkpoint.from_round,
    )
