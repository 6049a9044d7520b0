"""Rows of a database, for tests that need no server."""

import random

from sqlalchemy import Connection

from orchestrator.attendance import Attendance
from orchestrator.db import queries
from orchestrator.db.records import DeviceRecord, RoundRecord, TaskRecord
from orchestrator.domain.pacing import Limits
from orchestrator.domain.paging import MOST_ROWS, PageRequest
from orchestrator.domain.tasks import TaskState
from orchestrator.services import check_in
from plans.manifest import FEATURES
from tests.plans.linear import PLAN
from wire.messages import CheckIn, CheckInReply, CollectionSummary, PlanStatement, Resource, Runtime, SignedPlan
from wire.operator_messages import RoundPolicy

BLOB = Resource("ab" * 32, 100)
SIGNED = SignedPlan(BLOB, PlanStatement(BLOB.sha256, "task", "default", 1, 2_000_000_000, "key", "ed25519"), "c2ln")
CHECK_IN = CheckIn(
    Runtime("0.1.0", "ai-edge-litert", "2.3.0", tuple(sorted(FEATURES))),
    (CollectionSummary("default", 16),),
)


FOR_EVER = 1e12

_LIMITS = Limits(shortest_seconds=5)
_RANDOMNESS = random.Random(7)  # noqa: S311 - seeds of assignments and waits, which no test of the steps looks at


def population_names(tx: Connection) -> list[str]:
    """The names of up to a thousand populations."""
    return [population.name for population in queries.populations.by_name(tx, PageRequest(MOST_ROWS)).rows]


def task_of(policy: RoundPolicy, task_id: str = "task", plan_sha256: str = BLOB.sha256) -> TaskRecord:
    """A running task that trains with the golden plan."""
    return TaskRecord(
        task_id=task_id,
        name="linear",
        population="default",
        plan_sha256=plan_sha256,
        manifest=PLAN.manifest,
        work_name="train",
        reads=None,
        policy=policy,
        signed_plan=SIGNED,
        state=TaskState.RUNNING,
        created_at=0.0,
        ended_at=None,
        failure="",
    )


def add_task(tx: Connection, policy: RoundPolicy, task_id: str = "task") -> None:
    """A task with its first checkpoint, and the population `default`."""
    if not queries.populations.exists(tx, "default"):
        queries.populations.add(tx, "default", 0.0)
    queries.tasks.add_plan(tx, BLOB, PLAN.manifest, 0.0)
    queries.tasks.add(tx, task_of(policy, task_id))
    queries.checkpoints.add(tx, task_id, 0, BLOB, 0.0)


def task_in(tx: Connection) -> TaskRecord:
    """The task as it stands."""
    found = queries.tasks.by_id(tx, "task")
    assert found is not None
    return found


def add_round(tx: Connection, policy: RoundPolicy) -> RoundRecord:
    """A task and its first round, which selects."""
    add_task(tx, policy)
    queries.rounds.add(tx, "round", "task", 1, reads_round=0, broadcast=BLOB, temp=None, now=0.0)
    return round_of(tx)


def round_of(tx: Connection) -> RoundRecord:
    """The round as it stands."""
    found = queries.rounds.by_id(tx, "round")
    assert found is not None
    return found


def add_devices(tx: Connection, count: int) -> list[DeviceRecord]:
    """Some devices of the population `default`."""
    queries.tokens.add(tx, "token", "default", count, 0.0, 1.0)
    devices = [DeviceRecord(f"d{i}", "default", "ed25519", bytes([i]), 0.0, None, None) for i in range(count)]
    for device in devices:
        queries.devices.add(tx, device, "token", expected_by=FOR_EVER)
    return devices


def answer_to(
    tx: Connection, device: DeviceRecord, attendance: Attendance, now: float, said: CheckIn = CHECK_IN
) -> CheckInReply:
    """What a device gets for a check-in, where updates are kept in a folder."""
    return check_in.check_in(
        tx,
        device,
        said,
        attendance=attendance,
        hears_of_updates=False,
        limits=_LIMITS,
        randomness=_RANDOMNESS,
        now=now,
    )
