"""Every query, by name. Nobody else writes SQL, and nobody here commits."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from orchestrator.db import rows
from orchestrator.db import tables as t
from orchestrator.db.records import AssignmentRecord, CheckpointRecord, DeviceRecord, RoundRecord, TaskRecord
from orchestrator.domain import rounds as round_rules
from orchestrator.domain.assignments import AssignmentState
from orchestrator.domain.rounds import RoundState
from orchestrator.domain.tasks import TaskState
from plans.manifest import Manifest
from wire import codec
from wire.messages import CheckIn, Resource
from wire.operator_messages import PopulationView

_OPEN = [state.value for state in round_rules.OPEN]

# --- operators, populations, tokens -----------------------------------------------------------------------------------


def add_api_key(tx: Connection, key_sha256: str, name: str, now: float) -> None:
    """Keep the hash of a new operator key."""
    tx.execute(insert(t.api_keys).values(key_sha256=key_sha256, name=name, created_at=now))


def api_key_exists(tx: Connection, key_sha256: str) -> bool:
    """Whether an operator key has this hash."""
    return tx.execute(select(t.api_keys.c.name).where(t.api_keys.c.key_sha256 == key_sha256)).first() is not None


def any_api_key(tx: Connection) -> bool:
    """Whether there is an operator key at all: that is, whether this is not the first start."""
    return tx.execute(select(t.api_keys.c.name).limit(1)).first() is not None


def add_population(tx: Connection, name: str, now: float) -> None:
    """Make a population."""
    tx.execute(insert(t.populations).values(name=name, created_at=now))


def population_exists(tx: Connection, name: str) -> bool:
    """Whether there is a population of this name."""
    return tx.execute(select(t.populations.c.name).where(t.populations.c.name == name)).first() is not None


def populations(tx: Connection) -> tuple[PopulationView, ...]:
    """Every population with its number of devices, by name."""
    counted = (
        select(t.populations.c.name, func.count(t.devices.c.device_id).label("devices"))
        .outerjoin(t.devices, t.devices.c.population == t.populations.c.name)
        .group_by(t.populations.c.name)
        .order_by(t.populations.c.name)
    )
    return tuple(PopulationView(row.name, row.devices) for row in tx.execute(counted))


def add_enrolment_token(
    tx: Connection, token_sha256: str, population: str, uses: int, now: float, expires_at: float
) -> None:
    """Keep the hash of a new enrolment token."""
    tx.execute(
        insert(t.enrolment_tokens).values(
            token_sha256=token_sha256,
            population=population,
            uses=uses,
            uses_left=uses,
            created_at=now,
            expires_at=expires_at,
        )
    )


def use_enrolment_token(tx: Connection, token_sha256: str, now: float) -> str | None:
    """Take one use of a token and give its population, or None where it is unknown, used up or expired."""
    taken = tx.execute(
        update(t.enrolment_tokens)
        .where(t.enrolment_tokens.c.token_sha256 == token_sha256)
        .where(t.enrolment_tokens.c.uses_left > 0)
        .where(t.enrolment_tokens.c.expires_at > now)
        .values(uses_left=t.enrolment_tokens.c.uses_left - 1)
        .returning(t.enrolment_tokens.c.population)
    ).first()
    return None if taken is None else str(taken.population)


# --- devices and their sessions ---------------------------------------------------------------------------------------


def add_device(tx: Connection, device: DeviceRecord, token_sha256: str) -> None:
    """Enrol a device."""
    tx.execute(
        insert(t.devices).values(
            device_id=device.device_id,
            population=device.population,
            algorithm=device.algorithm,
            public_key=device.public_key,
            token_sha256=token_sha256,
            enrolled_at=device.enrolled_at,
        )
    )


def device(tx: Connection, device_id: str) -> DeviceRecord | None:
    """The device of this id."""
    row = tx.execute(select(t.devices).where(t.devices.c.device_id == device_id)).first()
    return None if row is None else rows.device(row)


def device_enrolled_with(tx: Connection, token_sha256: str, public_key: bytes) -> DeviceRecord | None:
    """The device that this token and this key have already made."""
    query = (
        select(t.devices).where(t.devices.c.token_sha256 == token_sha256).where(t.devices.c.public_key == public_key)
    )
    row = tx.execute(query).first()
    return None if row is None else rows.device(row)


def devices(tx: Connection, limit: int) -> tuple[DeviceRecord, ...]:
    """The newest devices."""
    query = select(t.devices).order_by(t.devices.c.enrolled_at.desc()).limit(limit)
    return tuple(rows.device(row) for row in tx.execute(query))


def saw_device(tx: Connection, device_id: str, check_in: CheckIn, now: float) -> None:
    """Remember what a device last said of itself."""
    values = {"last_seen_at": now, "check_in": codec.to_json(check_in)}
    tx.execute(update(t.devices).where(t.devices.c.device_id == device_id).values(**values))


def add_challenge(tx: Connection, challenge_sha256: str, device_id: str, now: float, expires_at: float) -> None:
    """Keep the hash of a challenge, and forget those that nobody answered in time."""
    tx.execute(delete(t.challenges).where(t.challenges.c.expires_at <= now))
    values = {"challenge_sha256": challenge_sha256, "device_id": device_id, "expires_at": expires_at}
    tx.execute(insert(t.challenges).values(**values))


def take_challenge(tx: Connection, challenge_sha256: str, device_id: str, now: float) -> bool:
    """Use up a challenge; False where it is unknown, another device's, or too old."""
    taken = tx.execute(
        delete(t.challenges)
        .where(t.challenges.c.challenge_sha256 == challenge_sha256)
        .where(t.challenges.c.device_id == device_id)
        .where(t.challenges.c.expires_at > now)
    )
    return taken.rowcount == 1


def add_session(tx: Connection, token_sha256: str, device_id: str, now: float, expires_at: float) -> None:
    """Keep the hash of a session token, and forget expired ones."""
    tx.execute(delete(t.sessions).where(t.sessions.c.expires_at <= now))
    tx.execute(insert(t.sessions).values(token_sha256=token_sha256, device_id=device_id, expires_at=expires_at))


def device_of_session(tx: Connection, token_sha256: str, now: float) -> DeviceRecord | None:
    """The device whose good session token has this hash."""
    row = tx.execute(
        select(t.devices)
        .join(t.sessions, t.sessions.c.device_id == t.devices.c.device_id)
        .where(t.sessions.c.token_sha256 == token_sha256)
        .where(t.sessions.c.expires_at > now)
    ).first()
    return None if row is None else rows.device(row)


# --- plans, tasks, checkpoints ----------------------------------------------------------------------------------------


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


def add_task(tx: Connection, task: TaskRecord) -> None:
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


def task(tx: Connection, task_id: str) -> TaskRecord | None:
    """The task of this id."""
    row = tx.execute(rows.select_tasks().where(t.tasks.c.task_id == task_id)).first()
    return None if row is None else rows.task(row)


def tasks(tx: Connection, limit: int) -> tuple[TaskRecord, ...]:
    """The newest tasks."""
    query = rows.select_tasks().order_by(t.tasks.c.created_at.desc()).limit(limit)
    return tuple(rows.task(row) for row in tx.execute(query))


def running_tasks_without_open_round(tx: Connection) -> tuple[TaskRecord, ...]:
    """The tasks that wait for their next round, oldest first."""
    has_open_round = (
        select(t.rounds.c.round_id)
        .where(t.rounds.c.task_id == t.tasks.c.task_id)
        .where(t.rounds.c.state.in_(_OPEN))
        .exists()
    )
    waiting = rows.select_tasks().where(t.tasks.c.state == TaskState.RUNNING.value).where(~has_open_round)
    return tuple(rows.task(row) for row in tx.execute(waiting.order_by(t.tasks.c.created_at)))


def end_task(tx: Connection, task_id: str, state: TaskState, now: float, failure: str = "") -> bool:
    """Move a running task to an end; False where it had ended already."""
    moved = tx.execute(
        update(t.tasks)
        .where(t.tasks.c.task_id == task_id)
        .where(t.tasks.c.state == TaskState.RUNNING.value)
        .values(state=state.value, ended_at=now, failure=failure[:2000])
    )
    return moved.rowcount == 1


def add_checkpoint(tx: Connection, task_id: str, round_number: int, resource: Resource, now: float) -> None:
    """Keep a server state."""
    tx.execute(
        insert(t.checkpoints).values(
            task_id=task_id,
            round_number=round_number,
            sha256=resource.sha256,
            size_bytes=resource.size_bytes,
            created_at=now,
        )
    )


def checkpoints(tx: Connection, task_id: str) -> tuple[CheckpointRecord, ...]:
    """A task's checkpoints, in the order of their rounds."""
    query = select(t.checkpoints).where(t.checkpoints.c.task_id == task_id).order_by(t.checkpoints.c.round_number)
    return tuple(rows.checkpoint(row) for row in tx.execute(query))


def latest_checkpoint(tx: Connection, task_id: str) -> CheckpointRecord | None:
    """A task's last checkpoint."""
    query = (
        select(t.checkpoints)
        .where(t.checkpoints.c.task_id == task_id)
        .order_by(t.checkpoints.c.round_number.desc())
        .limit(1)
    )
    row = tx.execute(query).first()
    return None if row is None else rows.checkpoint(row)


def first_checkpoint_after(tx: Connection, task_id: str, round_number: int) -> CheckpointRecord | None:
    """A task's first checkpoint of a later round than this one."""
    query = (
        select(t.checkpoints)
        .where(t.checkpoints.c.task_id == task_id)
        .where(t.checkpoints.c.round_number > round_number)
        .order_by(t.checkpoints.c.round_number)
        .limit(1)
    )
    row = tx.execute(query).first()
    return None if row is None else rows.checkpoint(row)


# --- rounds -----------------------------------------------------------------------------------------------------------


def add_round(
    tx: Connection,
    round_id: str,
    task_id: str,
    round_number: int,
    *,
    reads_round: int,
    broadcast: Resource,
    temp: Resource | None,
    now: float,
) -> None:
    """Open a round for selection."""
    tx.execute(
        insert(t.rounds).values(
            round_id=round_id,
            task_id=task_id,
            round_number=round_number,
            state=RoundState.SELECTION.value,
            reads_round=reads_round,
            broadcast_sha256=broadcast.sha256,
            broadcast_size_bytes=broadcast.size_bytes,
            temp_sha256=None if temp is None else temp.sha256,
            temp_size_bytes=None if temp is None else temp.size_bytes,
            assigned=0,
            reported=0,
            settled=0,
            created_at=now,
            metrics={},
            reason="",
        )
    )


def round_(tx: Connection, round_id: str) -> RoundRecord | None:
    """The round of this id."""
    row = tx.execute(rows.select_rounds().where(t.rounds.c.round_id == round_id)).first()
    return None if row is None else rows.round_(row)


def rounds(tx: Connection, task_id: str) -> tuple[RoundRecord, ...]:
    """A task's rounds, in their order."""
    query = rows.select_rounds().where(t.rounds.c.task_id == task_id).order_by(t.rounds.c.round_number)
    return tuple(rows.round_(row) for row in tx.execute(query))


def numbered_round(tx: Connection, task_id: str, round_number: int) -> RoundRecord | None:
    """A task's round of this number."""
    query = rows.select_rounds().where(t.rounds.c.task_id == task_id)
    row = tx.execute(query.where(t.rounds.c.round_number == round_number)).first()
    return None if row is None else rows.round_(row)


def last_completed_round(tx: Connection, task_id: str) -> RoundRecord | None:
    """A task's newest completed round."""
    query = (
        rows.select_rounds()
        .where(t.rounds.c.task_id == task_id)
        .where(t.rounds.c.state == RoundState.COMPLETED.value)
        .order_by(t.rounds.c.round_number.desc())
        .limit(1)
    )
    row = tx.execute(query).first()
    return None if row is None else rows.round_(row)


def open_rounds(tx: Connection) -> tuple[RoundRecord, ...]:
    """Every round that has not ended, oldest first."""
    query = rows.select_rounds().where(t.rounds.c.state.in_(_OPEN)).order_by(t.rounds.c.created_at)
    return tuple(rows.round_(row) for row in tx.execute(query))


def open_rounds_of(tx: Connection, task_id: str) -> tuple[RoundRecord, ...]:
    """A task's rounds that have not ended: one at most, as tasks run their rounds in turn."""
    query = rows.select_rounds().where(t.rounds.c.task_id == task_id).where(t.rounds.c.state.in_(_OPEN))
    return tuple(rows.round_(row) for row in tx.execute(query))


def rounds_selecting(tx: Connection, population: str) -> tuple[RoundRecord, ...]:
    """The rounds of a population that still select devices, oldest first."""
    query = (
        rows.select_rounds()
        .where(t.tasks.c.population == population)
        .where(t.rounds.c.state == RoundState.SELECTION.value)
        .order_by(t.rounds.c.created_at)
    )
    return tuple(rows.round_(row) for row in tx.execute(query))


def last_round_number(tx: Connection, task_id: str) -> int:
    """The number of a task's last round, 0 before the first."""
    query = select(func.max(t.rounds.c.round_number)).where(t.rounds.c.task_id == task_id)
    return tx.execute(query).scalar() or 0


def completed_rounds(tx: Connection, task_id: str) -> int:
    """How many of a task's rounds were completed."""
    query = select(func.count()).where(t.rounds.c.task_id == task_id)
    return tx.execute(query.where(t.rounds.c.state == RoundState.COMPLETED.value)).scalar() or 0


def last_round_read(tx: Connection, task_id: str) -> int:
    """The last checkpoint that a completed round of this task started from, 0 before the first."""
    query = select(func.max(t.rounds.c.reads_round)).where(t.rounds.c.task_id == task_id)
    return tx.execute(query.where(t.rounds.c.state == RoundState.COMPLETED.value)).scalar() or 0


def last_states(tx: Connection, task_id: str, count: int) -> list[RoundState]:
    """The states of a task's newest rounds, newest first."""
    query = select(t.rounds.c.state).where(t.rounds.c.task_id == task_id)
    return [RoundState(row.state) for row in tx.execute(query.order_by(t.rounds.c.round_number.desc()).limit(count))]


def move_round(tx: Connection, round_id: str, source: RoundState, target: RoundState, **values: Any) -> bool:
    """Take one legal transition; False where the round is not in `source` any more."""
    if target not in round_rules.TRANSITIONS[source]:
        raise ValueError(f"a round never goes from {source} to {target}")
    moved = tx.execute(
        update(t.rounds)
        .where(t.rounds.c.round_id == round_id)
        .where(t.rounds.c.state == source.value)
        .values(state=target.value, **values)
    )
    return moved.rowcount == 1


def claim_place(tx: Connection, round_id: str, cohort: int, now: float) -> bool:
    """Take one of a round's places; False where none is left."""
    claimed = tx.execute(
        update(t.rounds)
        .where(t.rounds.c.round_id == round_id)
        .where(t.rounds.c.state == RoundState.SELECTION.value)
        .where(t.rounds.c.assigned - t.rounds.c.settled < cohort)
        .values(assigned=t.rounds.c.assigned + 1, first_assigned_at=func.coalesce(t.rounds.c.first_assigned_at, now))
    )
    return claimed.rowcount == 1


def count_ending(tx: Connection, round_id: str, state: AssignmentState) -> None:
    """Count in its round that a device ended its assignment."""
    column = t.rounds.c.reported if state is AssignmentState.REPORTED else t.rounds.c.settled
    tx.execute(update(t.rounds).where(t.rounds.c.round_id == round_id).values({column: column + 1}))


# --- assignments ------------------------------------------------------------------------------------------------------


def add_assignment(tx: Connection, assignment_id: str, round_id: str, device_id: str, seed: int, now: float) -> None:
    """Select a device for a round."""
    tx.execute(
        insert(t.assignments).values(
            assignment_id=assignment_id,
            round_id=round_id,
            device_id=device_id,
            state=AssignmentState.ASSIGNED.value,
            seed=seed,
            assigned_at=now,
            metrics={},
            reason="",
        )
    )


def assignment(tx: Connection, assignment_id: str) -> AssignmentRecord | None:
    """The assignment of this id."""
    row = tx.execute(rows.select_assignments().where(t.assignments.c.assignment_id == assignment_id)).first()
    return None if row is None else rows.assignment(row)


def open_assignment_of(tx: Connection, device_id: str) -> AssignmentRecord | None:
    """The assignment that a device still owes a report for, if its round still takes one."""
    query = (
        rows.select_assignments()
        .where(t.assignments.c.device_id == device_id)
        .where(t.assignments.c.state == AssignmentState.ASSIGNED.value)
        .where(t.rounds.c.state.in_([state.value for state in round_rules.ACCEPTS_REPORTS]))
        .order_by(t.assignments.c.assigned_at)
        .limit(1)
    )
    row = tx.execute(query).first()
    return None if row is None else rows.assignment(row)


def took_part(tx: Connection, round_id: str, device_id: str) -> bool:
    """Whether a device was selected for a round before."""
    query = select(t.assignments.c.assignment_id).where(t.assignments.c.round_id == round_id)
    return tx.execute(query.where(t.assignments.c.device_id == device_id)).first() is not None


def reported_assignments(tx: Connection, round_id: str) -> tuple[AssignmentRecord, ...]:
    """The assignments of a round that were reported complete."""
    query = rows.select_assignments().where(t.assignments.c.round_id == round_id)
    reported = query.where(t.assignments.c.state == AssignmentState.REPORTED.value)
    return tuple(rows.assignment(row) for row in tx.execute(reported.order_by(t.assignments.c.assignment_id)))


def assignment_ids(tx: Connection, round_id: str) -> tuple[str, ...]:
    """The ids of all assignments of a round."""
    query = select(t.assignments.c.assignment_id).where(t.assignments.c.round_id == round_id)
    return tuple(row.assignment_id for row in tx.execute(query))


def end_assignment(
    tx: Connection,
    assignment_id: str,
    state: AssignmentState,
    now: float,
    *,
    update_sha256: str | None = None,
    metrics: Mapping[str, float] | None = None,
    reason: str = "",
) -> bool:
    """End an assignment that is still out; False where it had ended already."""
    ended = tx.execute(
        update(t.assignments)
        .where(t.assignments.c.assignment_id == assignment_id)
        .where(t.assignments.c.state == AssignmentState.ASSIGNED.value)
        .values(
            state=state.value,
            ended_at=now,
            update_sha256=update_sha256,
            metrics=dict(metrics or {}),
            reason=reason[:500],
        )
    )
    return ended.rowcount == 1


def reasons_given(tx: Connection, round_id: str, limit: int) -> tuple[str, ...]:
    """Why devices of a round declined or failed, as `declined: no examples`, each reason once."""
    gave_up = (AssignmentState.DECLINED.value, AssignmentState.FAILED.value)
    query = (
        select(t.assignments.c.state, t.assignments.c.reason)
        .where(t.assignments.c.round_id == round_id)
        .where(t.assignments.c.state.in_(gave_up))
        .distinct()
        .limit(limit)
    )
    return tuple(f"{row.state}: {row.reason}" for row in tx.execute(query))


def expire_assignments(tx: Connection, round_id: str, now: float) -> None:
    """End every assignment of a round that is still out."""
    tx.execute(
        update(t.assignments)
        .where(t.assignments.c.round_id == round_id)
        .where(t.assignments.c.state == AssignmentState.ASSIGNED.value)
        .values(state=AssignmentState.EXPIRED.value, ended_at=now)
    )
