"""Tasks and their plans."""

from sqlalchemy import Connection, insert, select, update

from orchestrator.db import rows
from orchestrator.db import tables as t
from orchestrator.db.queries import events, paging
from orchestrator.db.records import TaskRecord
from orchestrator.domain import rounds as round_rules
from orchestrator.domain import tasks as task_rules
from orchestrator.domain.paging import Page, PageRequest
from orchestrator.domain.tasks import TaskState
from plans.manifest import Manifest
from wire import codec
from wire.messages import Resource

_ORDER = paging.Order((t.tasks.c.created_at, t.tasks.c.task_id), is_descending=True)
_OPEN = [state.value for state in round_rules.OPEN]
_OPEN_TASKS = [state.value for state in task_rules.OPEN]
# Run at every tick, so built once.
_OPEN_ONES = rows.select_tasks().where(t.tasks.c.state.in_(_OPEN_TASKS)).order_by(t.tasks.c.created_at)
_WITHOUT_OPEN_ROUND = (
    rows.select_tasks()
    .where(t.tasks.c.state == TaskState.RUNNING.value)
    .where(
        ~select(t.rounds.c.round_id)
        .where(t.rounds.c.task_id == t.tasks.c.task_id)
        .where(t.rounds.c.state.in_(_OPEN))
        .exists()
    )
    .order_by(t.tasks.c.created_at)
)


def add_plan(tx: Connection, resource: Resource, manifest: Manifest, now: float) -> None:
    """Keep a plan's manifest; the same plan again changes nothing."""
    if tx.execute(select(t.plans.c.sha256).where(t.plans.c.sha256 == resource.sha256)).first() is None:
        tx.execute(
            insert(t.plans).values(
                sha256=resource.sha256,
                size_bytes=resource.size_bytes,
                manifest=codec.dumps(manifest).decode(),
                created_at=now,
            )
        )


def add(tx: Connection, task: TaskRecord) -> None:
    """Keep a new task."""
    tx.execute(
        insert(t.tasks).values(
            task_id=task.task_id,
            name=task.name,
            population=task.population,
            plan_sha256=task.plan_sha256,
            work=task.work_name,
            reads=task.reads,
            policy=codec.to_json(task.policy),
            signed_plan=codec.to_json(task.signed_plan),
            state=task.state.value,
            created_at=task.created_at,
            failure=task.failure,
        )
    )
    events.add(tx, "task.created", task.task_id, task.created_at)


def by_id(tx: Connection, task_id: str) -> TaskRecord | None:
    """The task of this id."""
    row = tx.execute(rows.select_tasks().where(t.tasks.c.task_id == task_id)).first()
    return None if row is None else rows.task(row)


def newest(
    tx: Connection, request: PageRequest, *, population: str | None = None, state: TaskState | None = None
) -> Page[TaskRecord]:
    """Tasks, newest first, of one population and in one state, or of all."""
    query = rows.select_tasks()
    if population is not None:
        query = query.where(t.tasks.c.population == population)
    if state is not None:
        query = query.where(t.tasks.c.state == state.value)
    return paging.page(tx, query, _ORDER, request, rows.task)


def open_ones(tx: Connection) -> tuple[TaskRecord, ...]:
    """The tasks that have not ended."""
    return tuple(rows.task(row) for row in tx.execute(_OPEN_ONES))


def running_without_open_round(tx: Connection) -> tuple[TaskRecord, ...]:
    """The tasks that wait for their next round, oldest first."""
    return tuple(rows.task(row) for row in tx.execute(_WITHOUT_OPEN_ROUND))


def readers(tx: Connection, task_id: str) -> tuple[str, ...]:
    """The ids of the tasks that read this one's checkpoints and have not ended."""
    query = select(t.tasks.c.task_id).where(t.tasks.c.reads == task_id).where(t.tasks.c.state.in_(_OPEN_TASKS))
    return tuple(row.task_id for row in tx.execute(query))


def move(tx: Connection, task_id: str, source: TaskState, target: TaskState) -> bool:
    """Pause a task or let it run on; False where it is not in `source`. `end` is the way to its ends."""
    if target not in task_rules.TRANSITIONS[source] & task_rules.OPEN:
        raise ValueError(f"a task never goes from {source} to {target}")
    query = update(t.tasks).where(t.tasks.c.task_id == task_id).where(t.tasks.c.state == source.value)
    return tx.execute(query.values(state=target.value)).rowcount == 1


def end(
    tx: Connection, task_id: str, state: TaskState, now: float, failure: str = "", completed_because: str = ""
) -> bool:
    """Move a task to an end; False where it had ended already."""
    moved = tx.execute(
        update(t.tasks)
        .where(t.tasks.c.task_id == task_id)
        .where(t.tasks.c.state.in_(_OPEN_TASKS))
        .values(state=state.value, ended_at=now, failure=failure[:2000], completed_because=completed_because[:500])
    )
    if moved.rowcount != 1:
        return False
    events.add(tx, f"task.{state.value}", task_id, now, reason=failure[:2000])
    return True
