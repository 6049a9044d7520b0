"""Rows to records, and the joins that a record needs.

A statement never changes, and to build a wide one takes longer than to run it; so each is built once.
"""

from functools import cache, lru_cache
from typing import Any, TypeVar

from sqlalchemy import Row, Select, Text, cast, select

from orchestrator.db import tables as t
from orchestrator.db.records import (
    AssignmentRecord,
    CheckpointRecord,
    ContributionRecord,
    DeviceRecord,
    RoundRecord,
    ShardRecord,
    TaskRecord,
)
from orchestrator.domain.assignments import AssignmentState
from orchestrator.domain.rounds import Progress, RoundState
from orchestrator.domain.tasks import TaskState
from plans.manifest import Manifest
from wire import codec
from wire.messages import Resource, SignedPlan
from wire.operator_messages import RoundPolicy

T = TypeVar("T")


# Documents are asked for as text, so that each is parsed once.
_TASK_COLUMNS = (
    *(
        t.tasks.c[name].label(f"task__{name}")
        for name in ("task_id", "name", "population", "plan_sha256", "work", "reads", "state", "created_at", "ended_at")
    ),
    *(t.tasks.c[name].label(f"task__{name}") for name in ("failure", "completed_because")),
    *(cast(t.tasks.c[name], Text).label(f"task__{name}") for name in ("policy", "signed_plan")),
    t.plans.c.manifest.label("task__manifest"),
)


@cache
def select_tasks() -> Select[Any]:
    """Tasks with their plans' manifests, for `task`."""
    return select(*_TASK_COLUMNS).join_from(t.tasks, t.plans, t.plans.c.sha256 == t.tasks.c.plan_sha256)


@cache
def select_rounds() -> Select[Any]:
    """Rounds with their tasks, for `round_`."""
    return (
        select(t.rounds, *_TASK_COLUMNS)
        .join_from(t.rounds, t.tasks, t.tasks.c.task_id == t.rounds.c.task_id)
        .join(t.plans, t.plans.c.sha256 == t.tasks.c.plan_sha256)
    )


@cache
def select_assignments() -> Select[Any]:
    """Assignments with their rounds, for `assignment`."""
    columns = [column.label(f"assignment__{column.name}") for column in t.assignments.c]
    return select_rounds().join(t.assignments, t.assignments.c.round_id == t.rounds.c.round_id).add_columns(*columns)


def device(row: Row[Any]) -> DeviceRecord:
    """A row of `devices`."""
    return DeviceRecord(
        device_id=row.device_id,
        population=row.population,
        algorithm=row.algorithm,
        public_key=row.public_key,
        enrolled_at=row.enrolled_at,
        last_seen_at=row.last_seen_at,
        said=row.check_in,
        revoked_at=row.revoked_at,
    )


def task(row: Row[Any]) -> TaskRecord:
    """A row of `select_tasks`, or of a wider one."""
    return TaskRecord(
        task_id=row.task__task_id,
        name=row.task__name,
        population=row.task__population,
        plan_sha256=row.task__plan_sha256,
        manifest=_parsed(Manifest, row.task__manifest),
        work_name=row.task__work,
        reads=row.task__reads,
        policy=_parsed(RoundPolicy, row.task__policy),
        signed_plan=_parsed(SignedPlan, row.task__signed_plan),
        state=TaskState(row.task__state),
        created_at=row.task__created_at,
        ended_at=row.task__ended_at,
        failure=row.task__failure,
        completed_because=row.task__completed_because,
    )


def round_(row: Row[Any]) -> RoundRecord:
    """A row of `select_rounds`."""
    return RoundRecord(
        round_id=row.round_id,
        task=task(row),
        round_number=row.round_number,
        reads_round=row.reads_round,
        broadcast=Resource(row.broadcast_sha256, row.broadcast_size_bytes),
        temp=_resource(row.temp_sha256, row.temp_size_bytes),
        progress=Progress(
            state=RoundState(row.state),
            assigned=row.assigned,
            reported=row.reported,
            settled=row.settled,
            first_assigned_at=row.first_assigned_at,
            reporting_since=row.reporting_since,
        ),
        created_at=row.created_at,
        ended_at=row.ended_at,
        metrics=row.metrics,
        result=_resource(row.result_sha256, row.result_size_bytes),
        reason=row.reason,
        sharded=row.sharded,
        lease_token=row.lease_token,
    )


def assignment(row: Row[Any]) -> AssignmentRecord:
    """A row of `select_assignments`."""
    return AssignmentRecord(
        assignment_id=row.assignment__assignment_id,
        round=round_(row),
        device_id=row.assignment__device_id,
        state=AssignmentState(row.assignment__state),
        seed=row.assignment__seed,
        assigned_at=row.assignment__assigned_at,
        update_sha256=row.assignment__update_sha256,
        metrics=row.assignment__metrics,
        reason=row.assignment__reason,
    )


def select_contributions() -> Select[Any]:
    """What completed reports brought that a round counts, for `contribution`, always in the same order."""
    begun, counting = t.rounds.alias("begun"), t.rounds.alias("counting")
    return (
        select(
            t.assignments.c.assignment_id,
            t.assignments.c.update_sha256,
            t.assignments.c.metrics,
            (counting.c.round_number - begun.c.round_number).label("staleness"),
        )
        .join(begun, begun.c.round_id == t.assignments.c.round_id)
        .join(counting, counting.c.round_id == t.assignments.c.counted_in)
        .where(t.assignments.c.state == AssignmentState.REPORTED.value)
        .order_by(t.assignments.c.assignment_id)
    )


def contribution(row: Row[Any]) -> ContributionRecord:
    """A row of `select_contributions`."""
    return ContributionRecord(row.assignment_id, row.update_sha256, row.metrics, row.staleness)


def shard(row: Row[Any]) -> ShardRecord:
    """A row of `shards`."""
    return ShardRecord(row.shard_id, row.lease_token, _resource(row.sum_sha256, row.sum_size_bytes))


def checkpoint(row: Row[Any]) -> CheckpointRecord:
    """A row of `checkpoints`."""
    return CheckpointRecord(
        task_id=row.task_id,
        round_number=row.round_number,
        resource=Resource(row.sha256, row.size_bytes),
        created_at=row.created_at,
        from_task_id=row.from_task_id,
        from_round=row.from_round,
    )


def _resource(sha256: str | None, size_bytes: int | None) -> Resource | None:
    return None if sha256 is None or size_bytes is None else Resource(sha256, size_bytes)


@lru_cache(maxsize=256)
def _parsed(kind: type[T], text: str) -> T:
    # What a task was pushed with never changes, and every tick and check-in asks for it with the open rounds.
    return codec.loads(kind, text)
