"""What operators ask for: tasks pushed, looked at and cancelled."""

import uuid
from dataclasses import dataclass

from sqlalchemy import Connection

from orchestrator.db import queries
from orchestrator.db.records import CheckpointRecord, TaskRecord
from orchestrator.domain.paging import PageRequest
from orchestrator.domain.rounds import RoundState
from orchestrator.domain.tasks import TaskState
from orchestrator.errors import ConflictError, InvalidRequestError, NotFoundError
from orchestrator.services import round_clock
from orchestrator.signing import PlanSigner
from orchestrator.storage.protocol import Store
from plans import bundle, contract, manifest
from plans.accumulators.staleness import check_weighable
from plans.errors import PlanError, UnsupportedPlanError
from plans.manifest import Manifest, Work
from wire import tensors
from wire.errors import ErrorCode
from wire.messages import Resource
from wire.operator_messages import TaskPage, TaskRequest, TaskView

PLAN_VALID_SECONDS = 400 * 24 * 3600
_PLAN_VERSION = 1


@dataclass(frozen=True)
class StoredPlan:
    """A checked plan whose bytes, and whose first state, are in the store."""

    resource: Resource
    manifest: Manifest
    initial: Resource


def store_plan(store: Store, data: bytes) -> StoredPlan:
    """Check a plan as a whole, load its programs, and keep it. Nothing is kept of a plan that is refused.

    Raises:
        InvalidRequestError: not a plan, or one that this version does not run.
    """
    try:
        plan = bundle.unpack(data)
        manifest.check_supported(plan.manifest)
        contract.check(plan)
    except UnsupportedPlanError as error:
        raise InvalidRequestError(str(error), ErrorCode.UNSUPPORTED_PLAN) from None
    except PlanError as error:
        raise InvalidRequestError(str(error), ErrorCode.INVALID_PLAN) from None
    return StoredPlan(store.put(data), plan.manifest, store.put(tensors.encode(plan.initial)))


def plan_of_task(tx: Connection, task_id: str) -> tuple[Resource, Manifest]:
    """The plan that a task runs, for another task that reads its checkpoints."""
    source = existing_task(tx, task_id)
    return source.signed_plan.resource, source.manifest


def push(tx: Connection, request: TaskRequest, plan: StoredPlan | None, signer: PlanSigner, now: float) -> TaskRecord:
    """Make a task, with its first checkpoint where it changes a state.

    Args:
        plan: None where the task runs the plan of the task that it reads.

    Raises:
        InvalidRequestError: the request contradicts itself or its plan.
        NotFoundError: the population, or the task to read, is not there.
    """
    if not queries.populations.exists(tx, request.population):
        raise NotFoundError(f"there is no population {request.population!r}; make it first")
    resource, plan_manifest = _chosen_plan(tx, request, plan)
    work_name = request.work or _default_work(request, plan_manifest)
    try:
        plan_manifest.work(work_name)
    except PlanError as error:
        raise InvalidRequestError(str(error)) from None
    _check_reading(tx, request, work_name, plan_manifest)
    _check_asynchronous(request, plan_manifest.work(work_name))
    task_id = str(uuid.uuid4())
    task = TaskRecord(
        task_id=task_id,
        name=request.name,
        population=request.population,
        plan_sha256=resource.sha256,
        manifest=plan_manifest,
        work_name=work_name,
        reads=request.reads,
        policy=request.policy,
        signed_plan=signer.sign(
            resource,
            task_id=task_id,
            population=request.population,
            version=_PLAN_VERSION,
            expires=int(now) + PLAN_VALID_SECONDS,
        ),
        state=TaskState.RUNNING,
        created_at=now,
        ended_at=None,
        failure="",
    )
    queries.tasks.add_plan(tx, resource, plan_manifest, now)
    queries.tasks.add(tx, task)
    if plan is not None and request.reads is None:
        queries.checkpoints.keep(tx, _first_checkpoint(tx, task, request, plan, now))
    return task


def cancel(tx: Connection, task_id: str, now: float) -> TaskRecord:
    """Stop a task and the round it is in; a task that was cancelled before stays as it is.

    Raises:
        ConflictError: the task has ended otherwise.
    """
    task = existing_task(tx, task_id)
    if task.state is TaskState.CANCELLED:
        return task
    if not round_clock.end_task(tx, task_id, TaskState.CANCELLED, now):
        raise ConflictError(f"the task {task.name!r} is {task.state.value}; one that has ended cannot be cancelled")
    for round_ in queries.rounds.open_of_task(tx, task_id):
        round_clock.end_round(tx, round_, RoundState.CANCELLED, now, "the task was cancelled")
    return existing_task(tx, task_id)


def pause(tx: Connection, task_id: str) -> TaskRecord:
    """Let a task select no device and open no round until it is resumed; a paused task stays as it is.

    Raises:
        ConflictError: the task has ended.
    """
    return _moved(tx, task_id, TaskState.RUNNING, TaskState.PAUSED)


def resume(tx: Connection, task_id: str) -> TaskRecord:
    """Let a paused task go on; a running task stays as it is.

    Raises:
        ConflictError: the task has ended.
    """
    return _moved(tx, task_id, TaskState.PAUSED, TaskState.RUNNING)


def existing_task(tx: Connection, task_id: str) -> TaskRecord:
    """The task of that id.

    Raises:
        NotFoundError: there is none.
    """
    task = queries.tasks.by_id(tx, task_id)
    if task is None:
        raise NotFoundError(f"there is no task {task_id!r}")
    return task


def task_view(tx: Connection, task: TaskRecord) -> TaskView:
    """A task as operators see it."""
    return TaskView(
        task_id=task.task_id,
        name=task.name,
        population=task.population,
        work=task.work_name,
        state=task.state.value,
        plan_sha256=task.plan_sha256,
        policy=task.policy,
        created_at=task.created_at,
        rounds_completed=queries.rounds.count_completed(tx, task.task_id),
        reads=task.reads,
        ended_at=task.ended_at,
        failure=task.failure,
        completed_because=task.completed_because,
    )


def task_page(
    tx: Connection, request: PageRequest, *, population: str | None = None, state: TaskState | None = None
) -> TaskPage:
    """A page of tasks, newest first."""
    page = queries.tasks.newest(tx, request, population=population, state=state)
    return TaskPage(tuple(task_view(tx, task) for task in page.rows), page.next_cursor)


def _moved(tx: Connection, task_id: str, source: TaskState, target: TaskState) -> TaskRecord:
    task = existing_task(tx, task_id)
    if task.state is not target and not queries.tasks.move(tx, task_id, source, target):
        raise ConflictError(f"the task {task.name!r} is {task.state.value}; it has ended")
    return existing_task(tx, task_id)


def _chosen_plan(tx: Connection, request: TaskRequest, plan: StoredPlan | None) -> tuple[Resource, Manifest]:
    if plan is not None:
        return plan.resource, plan.manifest
    if request.reads is None:
        raise InvalidRequestError("a task needs a plan or a model, or a task whose checkpoints it reads")
    return plan_of_task(tx, request.reads)


def _first_checkpoint(
    tx: Connection, task: TaskRecord, request: TaskRequest, plan: StoredPlan, now: float
) -> CheckpointRecord:
    if request.warm_start is None:
        return CheckpointRecord(task.task_id, 0, plan.initial, now)
    source = queries.checkpoints.of_digest(tx, request.warm_start, request.population)
    if source is None:
        raise NotFoundError(f"no task has a checkpoint with the digest {request.warm_start!r}")
    if existing_task(tx, source.task_id).manifest.state_specs != task.manifest.state_specs:
        raise InvalidRequestError("the plan's state has other tensors than the checkpoint that it is to start from")
    return CheckpointRecord(task.task_id, 0, source.resource, now, source.task_id, source.round_number)


def _default_work(request: TaskRequest, plan_manifest: Manifest) -> str:
    if len(plan_manifest.works) == 1:
        return next(iter(plan_manifest.works))
    return "evaluate" if request.reads else "train"


def _check_asynchronous(request: TaskRequest, work: Work) -> None:
    if not request.policy.is_asynchronous:
        return
    try:
        check_weighable(work)
    except UnsupportedPlanError as error:
        raise InvalidRequestError(str(error), ErrorCode.UNSUPPORTED_PLAN) from None


def _check_reading(tx: Connection, request: TaskRequest, work_name: str, plan_manifest: Manifest) -> None:
    work = plan_manifest.work(work_name)
    changes_state = work.update_state is not None
    if request.warm_start is not None and (request.reads is not None or not changes_state):
        raise InvalidRequestError("`warm_start` is for a task that changes a state of its own")
    if request.reads is None:
        if not changes_state and work.broadcast:
            raise InvalidRequestError(
                f"the work {work_name!r} changes no state; say in `reads` whose checkpoints it evaluates"
            )
        return
    if changes_state:
        raise InvalidRequestError("a task that changes a state has checkpoints of its own; leave `reads` out")
    source = existing_task(tx, request.reads)
    if source.reads is not None:
        raise InvalidRequestError(f"the task it reads has no checkpoints; read {source.reads}, as that one does")
    if source.population != request.population:
        raise InvalidRequestError(f"the task it reads is for the population {source.population!r}")
    if request.policy.evaluation_share > source.policy.evaluation_share:
        raise InvalidRequestError(
            f"the task evaluates on a share of {request.policy.evaluation_share:g} of the devices, but the task it "
            f"reads sets {source.policy.evaluation_share:g} aside; it trains on the others"
        )
    if source.manifest.state_specs != plan_manifest.state_specs:
        raise InvalidRequestError("the plan's state has other tensors than the checkpoints of the task it reads")
