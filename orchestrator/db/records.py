"""Rows as records: what the queries give and take."""

from dataclasses import dataclass, field
from typing import Any

from orchestrator.domain.assignments import AssignmentState
from orchestrator.domain.rounds import Progress, RoundState
from orchestrator.domain.tasks import TaskState
from plans.manifest import Manifest, Work
from wire import codec
from wire.messages import CheckIn, Resource, SignedPlan
from wire.operator_messages import RoundPolicy


@dataclass(frozen=True)
class DeviceRecord:
    """An enrolled device.

    Attributes:
        said: its last check-in, as the document that it was; every request of a device asks for the device, and few
            for this.
    """

    device_id: str
    population: str
    algorithm: str
    public_key: bytes
    enrolled_at: float
    last_seen_at: float | None
    said: dict[str, Any] | None
    revoked_at: float | None = None

    @property
    def check_in(self) -> CheckIn | None:
        """What it last said of itself."""
        return None if self.said is None else codec.from_json(CheckIn, self.said)


@dataclass(frozen=True)
class Visit:
    """What a check-in leaves behind.

    Attributes:
        said: what the device said of itself.
        expected_by: a device that has not come again by then is not there.
    """

    device_id: str
    said: CheckIn
    at: float
    expected_by: float


@dataclass(frozen=True)
class TaskRecord:
    """A task with its plan's manifest."""

    task_id: str
    name: str
    population: str
    plan_sha256: str
    manifest: Manifest
    work_name: str
    reads: str | None
    policy: RoundPolicy
    signed_plan: SignedPlan
    state: TaskState
    created_at: float
    ended_at: float | None
    failure: str
    completed_because: str = ""

    @property
    def work(self) -> Work:
        """The work that the task's rounds do."""
        return self.manifest.work(self.work_name)


@dataclass(frozen=True)
class RoundRecord:
    """A round, with the task it belongs to.

    Attributes:
        temp, result: None where its work has none, or not yet.
        sharded: how many reported updates are in shards.
        lease_token: how often the round's closing was claimed.
    """

    round_id: str
    task: TaskRecord
    round_number: int
    reads_round: int
    broadcast: Resource
    temp: Resource | None
    progress: Progress
    created_at: float
    ended_at: float | None
    metrics: dict[str, float]
    result: Resource | None
    reason: str
    sharded: int
    lease_token: int

    @property
    def state(self) -> RoundState:
        """Where the round stands."""
        return self.progress.state

    @property
    def ids(self) -> dict[str, str | int]:
        """What names the round in logs and traces."""
        return {"task_id": self.task.task_id, "round_id": self.round_id, "round_number": self.round_number}


@dataclass(frozen=True)
class AssignmentRecord:
    """An assignment, with the round it belongs to."""

    assignment_id: str
    round: RoundRecord
    device_id: str
    state: AssignmentState
    seed: int
    assigned_at: float
    update_sha256: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True)
class CheckpointRecord:
    """A kept server state; `from_…` name the checkpoint whose state it has, after a rollback or a warm start."""

    task_id: str
    round_number: int
    resource: Resource
    created_at: float
    from_task_id: str | None = None
    from_round: int | None = None


@dataclass(frozen=True)
class ContributionRecord:
    """What a completed report brought: all that the sum of its round needs.

    Attributes:
        staleness: how many rounds lie between the one that its device was selected for and the one that counts it.
    """

    assignment_id: str
    update_sha256: str | None
    metrics: dict[str, float]
    staleness: int


@dataclass(frozen=True)
class Lease:
    """A worker's claim: good until a moment, and only with the newest token."""

    worker: str
    until: float
    token: int


@dataclass(frozen=True)
class ShardRecord:
    """Updates of a round that are summed by themselves; `sum` is None until they are."""

    shard_id: str
    lease_token: int
    sum: Resource | None
