"""The documents that devices and the orchestrator exchange, each a frozen dataclass.

Times that count are durations in seconds, because a device's clock may be wrong; the few moments are UTC seconds since
1970. `sha256` is always 64 lower-case hexadecimal digits, and public keys and signatures are base64.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Problem:
    """Why a request was refused: an RFC 9457 problem document with an `ErrorCode`."""

    status: int
    code: str
    detail: str
    title: str = ""
    retry_after_seconds: float | None = None


@dataclass(frozen=True)
class Resource:
    """Bytes that never change, by their digest."""

    sha256: str
    size_bytes: int

    def __post_init__(self) -> None:
        if not _SHA256.fullmatch(self.sha256):
            raise ValueError(f"sha256 {self.sha256[:70]!r} is not 64 lower-case hexadecimal digits")
        if self.size_bytes < 0:
            raise ValueError(f"size_bytes is {self.size_bytes}")


@dataclass(frozen=True)
class PublicKey:
    """A public key and what it is for a reader who holds several."""

    key_id: str
    algorithm: str
    key: str


@dataclass(frozen=True)
class Enrolment:
    """A device asks to join: its one-time token, its key, and a signature that proves it holds the key."""

    token: str
    algorithm: str
    public_key: str
    signature: str


@dataclass(frozen=True)
class Enrolled:
    """A device's id, its population, and the keys whose plans it may run from now on."""

    device_id: str
    population: str
    plan_keys: tuple[PublicKey, ...]


@dataclass(frozen=True)
class Challenge:
    """Random text that a device signs to earn a session token; good once, for a short time."""

    challenge: str
    expires_in_seconds: float


@dataclass(frozen=True)
class SessionRequest:
    """A signed challenge."""

    challenge: str
    signature: str


@dataclass(frozen=True)
class Session:
    """A bearer token for a device's calls."""

    token: str
    expires_in_seconds: float


@dataclass(frozen=True)
class Runtime:
    """What a device would run a plan with."""

    sdk_version: str
    interpreter: str
    interpreter_version: str
    features: tuple[str, ...] = ()


@dataclass(frozen=True)
class CollectionSummary:
    """How many examples a device holds, rounded to a power of two so that it tells little."""

    name: str
    examples_about: int

    def __post_init__(self) -> None:
        if not 0 <= self.examples_about <= 1 << 53:
            raise ValueError(f"examples_about is {self.examples_about}; expected 0 to 2^53")


@dataclass(frozen=True)
class CheckIn:
    """A device offers to work."""

    runtime: Runtime
    collections: tuple[CollectionSummary, ...] = ()
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PlanStatement:
    """What the operator's signature on a plan says. `expires` is in UTC seconds since 1970."""

    plan_sha256: str
    task_id: str
    population: str
    version: int
    expires: int
    key_id: str
    algorithm: str
    privacy: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SignedPlan:
    """A plan to fetch, with the statement that allows it to run."""

    resource: Resource
    statement: PlanStatement
    signature: str


@dataclass(frozen=True)
class UploadPart:
    """Where some bytes of the update go; a relative `url` is the orchestrator's own."""

    method: str
    url: str
    offset: int
    size_bytes: int
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Upload:
    """What is still to be sent of an update, in order; nothing where all of it is there."""

    parts: tuple[UploadPart, ...] = ()


@dataclass(frozen=True)
class Assignment:
    """Work for one device in one round; `seed` feeds every random choice that the device makes for it."""

    assignment_id: str
    task_id: str
    task_name: str
    round_number: int
    work: str
    plan: SignedPlan
    broadcast: Resource
    deadline_seconds: float
    seed: int
    upload: tuple[UploadPart, ...] = ()


@dataclass(frozen=True)
class ReleasedModel:
    """A model to predict with, under the signature of the key that signs plans (`statements.model`).

    Attributes:
        model: a model file (`plans.inference`), to be fetched as a resource.
        task_id, round_number: the checkpoint that it has the values of.
    """

    label: str
    population: str
    task_id: str
    round_number: int
    model: Resource
    key_id: str
    algorithm: str
    signature: str


@dataclass(frozen=True)
class Rejection:
    """No work now; come back after so long."""

    retry_after_seconds: float
    reason: str


@dataclass(frozen=True)
class CheckInReply:
    """The answer to a check-in: exactly one of the two."""

    assignment: Assignment | None = None
    rejection: Rejection | None = None

    def __post_init__(self) -> None:
        if (self.assignment is None) == (self.rejection is None):
            raise ValueError("a check-in is answered by an assignment or a rejection, and by one of them")


class Outcome(StrEnum):
    """How an assignment ended on the device."""

    COMPLETED = "completed"
    DECLINED = "declined"
    FAILED = "failed"


@dataclass(frozen=True)
class UpdateManifest:
    """Which bytes are the update, under the device's own signature (`statements.update`)."""

    resource: Resource
    signature: str


@dataclass(frozen=True)
class Report:
    """A device's last message for an assignment.

    Attributes:
        metrics: the work's metrics, by name.
        update: for a completed work that uploads one; it must be there already when the report comes.
        reason: why, where the outcome is not `completed`.
    """

    outcome: Outcome
    metrics: dict[str, float] = field(default_factory=dict)
    update: UpdateManifest | None = None
    reason: str = ""


@dataclass(frozen=True)
class ReportReceipt:
    """The report is durable. The same report again gets the same receipt."""

    assignment_id: str
    outcome: Outcome
    update_sha256: str | None = None
