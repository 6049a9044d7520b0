"""The documents that operators and the orchestrator exchange. Moments are UTC seconds since 1970.

A list comes in pages: `next_cursor` asks for the next one, and is None on the last.
"""

import re
from dataclasses import dataclass, field
from typing import Any

MAX_COHORT = 1_000_000
MAX_COUNT = 1_000_000_000
MAX_USES = 100_000  # more is a leaked secret
MAX_TOKEN_SECONDS = 10 * 365 * 24 * 3600.0
MAX_DEADLINE_SECONDS = 30 * 24 * 3600.0
MAX_NAME_CHARACTERS = 100
ID_CHARACTERS = 16  # of a secret's hash, which is its public id
MAX_TASK_SECONDS = 10 * 365 * 24 * 3600.0
MAX_STOP_ROUNDS = 1000
MAX_PRIORITY = 1e6
MAX_STALENESS_EXPONENT = 10.0
_VERSION = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9}){0,5}")


@dataclass(frozen=True)
class StopCondition:
    """A task is complete when a metric has been beyond a bound in each of its last completed rounds.

    Attributes:
        metric: the name of a round's metric, such as `loss`; a round that has none does not fulfil the condition.
        above, below: the bound; exactly one of the two.
        rounds: in so many rounds running.
    """

    metric: str
    above: float | None = None
    below: float | None = None
    rounds: int = 1

    def __post_init__(self) -> None:
        if not self.metric or (self.above is None) == (self.below is None):
            raise ValueError(
                "a stop condition names a metric and has one bound, `above` or `below`; "
                f"found {self.metric!r}, {self.above} and {self.below}"
            )
        if not 1 <= self.rounds <= MAX_STOP_ROUNDS:
            raise ValueError(f"a stop condition looks at 1 to {MAX_STOP_ROUNDS} rounds, found {self.rounds}")


@dataclass(frozen=True)
class RoundPolicy:
    """How a task's rounds are held, whom they select, how the task shares devices with others, and when it ends.

    Attributes:
        rounds: the task ends after so many completed rounds.
        cohort: at most so many devices are selected for a round. A cohort above the report goal is over-selection: 130
            devices for a goal of 100 leave room for 30 that drop out.
        report_goal: with so many reports a round ends at once; None for the whole cohort.
        minimum_reports: with fewer at its deadline, a round is abandoned; None for the report goal.
        selection_deadline_seconds: from the first selected device on, how long to wait for the rest of the cohort.
        reporting_deadline_seconds: from the end of the selection on, how long to wait for reports.
        attributes: only devices with these attributes are selected.
        minimum_examples: only devices that hold about so many examples are selected.
        minimum_sdk_version: only devices with this SDK or a newer one are selected, as `1.2`; "" for any.
        interpreters: only devices with one of these interpreters are selected, each with its oldest version ("" for
            any), as `{"ai-edge-litert": "2.0"}`; empty for all.
        minimum_rounds_between: a device that reported in a round is not selected for so many of the next ones.
        evaluation_share: the share of devices, always the same ones, that a task with checkpoints of its own never
            selects, and that a task which reads another's checkpoints selects alone; 0 for no such share.
        read_every: a task that reads another's checkpoints takes those of every so-many-th round.
        priority: of devices that several tasks want, a task gets a share in proportion to this.
        stop_when: a metric that completes the task before its last round.
        time_limit_seconds: from the task's beginning on; no round begins later, and one that has devices goes on.
        keep_last: so many of the newest checkpoints are kept, besides labelled ones; None for all.
        keep_every: with `keep_last`, checkpoints of every so-many-th round are kept too.
        concurrency: so many devices are at work at any time, and a report counts in whichever round is open when it
            comes; None for rounds that wait for their own devices. A round ends with `cohort` reports, the buffer of
            FedBuff, which is the report goal too; no deadline ends it, but with `minimum_reports` it goes on where all
            devices had their turn. `reporting_deadline_seconds` is a device's own, from its selection on.
        staleness_exponent: an update counts (1 + τ)^-a in a round that is τ rounds after the one that its device was
            selected for; this is a, 0 for no such weight.
        maximum_staleness: nobody waits for an update that would be staler, in rounds; None for no such bound.
    """

    rounds: int = 10
    cohort: int = 4
    report_goal: int | None = None
    minimum_reports: int | None = None
    selection_deadline_seconds: float = 60.0
    reporting_deadline_seconds: float = 600.0
    attributes: dict[str, str] = field(default_factory=dict)
    minimum_examples: int = 1
    minimum_sdk_version: str = ""
    interpreters: dict[str, str] = field(default_factory=dict)
    minimum_rounds_between: int = 0
    evaluation_share: float = 0.0
    read_every: int = 1
    priority: float = 1.0
    stop_when: StopCondition | None = None
    time_limit_seconds: float | None = None
    keep_last: int | None = None
    keep_every: int | None = None
    concurrency: int | None = None
    staleness_exponent: float = 0.5
    maximum_staleness: int | None = None

    def __post_init__(self) -> None:
        self._check_asynchronous()
        if not 1 <= self.minimum <= self.goal <= self.cohort:
            raise ValueError(
                "expected 1 <= minimum_reports <= report_goal <= cohort, "
                f"found {self.minimum}, {self.goal}, {self.cohort}"
            )
        if not (1 <= self.rounds <= MAX_COUNT and 0 <= self.minimum_examples <= MAX_COUNT):
            raise ValueError(
                f"rounds is {self.rounds} and minimum_examples {self.minimum_examples}; "
                f"at least 1 and 0, and at most {MAX_COUNT}"
            )
        if self.cohort > MAX_COHORT:
            raise ValueError(f"cohort is {self.cohort}; at most {MAX_COHORT} devices take part in a round")
        deadlines = (self.selection_deadline_seconds, self.reporting_deadline_seconds)
        if not all(0 < deadline <= MAX_DEADLINE_SECONDS for deadline in deadlines):
            raise ValueError(f"the deadlines are more than 0 and at most {MAX_DEADLINE_SECONDS:g} seconds")
        self._check_devices()
        self._check_lifetime()

    def _check_asynchronous(self) -> None:
        if self.concurrency is None:
            defaults = (RoundPolicy.staleness_exponent, RoundPolicy.maximum_staleness)
            if (self.staleness_exponent, self.maximum_staleness) != defaults:
                raise ValueError(
                    "staleness_exponent and maximum_staleness are for asynchronous rounds; say `concurrency` too"
                )
            return
        if not 1 <= self.concurrency <= MAX_COHORT:
            raise ValueError(f"concurrency is 1 to {MAX_COHORT}, found {self.concurrency}")
        if self.goal != self.cohort:
            raise ValueError(
                "an asynchronous round ends with the reports of its `cohort`, whoever else is at work; leave "
                f"`report_goal` out, found a goal of {self.report_goal} and a cohort of {self.cohort}"
            )
        if not 0 <= self.staleness_exponent <= MAX_STALENESS_EXPONENT:
            raise ValueError(f"staleness_exponent is 0 to {MAX_STALENESS_EXPONENT:g}, found {self.staleness_exponent}")
        if self.maximum_staleness is not None and not 0 <= self.maximum_staleness <= MAX_COUNT:
            raise ValueError(f"maximum_staleness is 0 to {MAX_COUNT}, found {self.maximum_staleness}")

    def _check_devices(self) -> None:
        for version in (self.minimum_sdk_version, *self.interpreters.values()):
            if version and not _VERSION.fullmatch(version):
                raise ValueError(f"a version is numbers with dots between them, as 1.2, found {version[:40]!r}")
        if not 0 <= self.minimum_rounds_between <= MAX_COUNT:
            raise ValueError(f"minimum_rounds_between is 0 to {MAX_COUNT}, found {self.minimum_rounds_between}")
        if not 0 <= self.evaluation_share < 1:
            raise ValueError(f"evaluation_share is at least 0 and less than 1, found {self.evaluation_share}")
        if not 1 / MAX_PRIORITY <= self.priority <= MAX_PRIORITY:
            raise ValueError(f"priority is {1 / MAX_PRIORITY:g} to {MAX_PRIORITY:g}, found {self.priority}")

    def _check_lifetime(self) -> None:
        if self.time_limit_seconds is not None and not 0 < self.time_limit_seconds <= MAX_TASK_SECONDS:
            raise ValueError(
                f"time_limit_seconds is more than 0 and at most {MAX_TASK_SECONDS:g}, found {self.time_limit_seconds}"
            )
        counts = {"read_every": self.read_every, "keep_last": self.keep_last, "keep_every": self.keep_every}
        for name, count in counts.items():
            if count is not None and not 1 <= count <= MAX_COUNT:
                raise ValueError(f"{name} is 1 to {MAX_COUNT}, found {count}")
        if self.keep_every is not None and self.keep_last is None:
            raise ValueError("keep_every says what is kept besides the newest checkpoints; say `keep_last` too")

    @property
    def is_asynchronous(self) -> bool:
        """Whether a report counts in the round that is open when it comes."""
        return self.concurrency is not None

    @property
    def places(self) -> int:
        """How many devices may be at work at a time."""
        return self.cohort if self.concurrency is None else self.concurrency

    @property
    def goal(self) -> int:
        """The report goal that is in force."""
        return self.cohort if self.report_goal is None else self.report_goal

    @property
    def minimum(self) -> int:
        """The minimum of reports that is in force."""
        return self.goal if self.minimum_reports is None else self.minimum_reports


@dataclass(frozen=True)
class TaskRequest:
    """What an operator asks a population to compute.

    A plan or a model comes beside it; a task that `reads` another's checkpoints, as an evaluation does, may leave both
    out and runs that task's plan.

    Attributes:
        work: which of the plan's works; None for the only one, and of several for `evaluate` where the task reads
            another, else `train`.
        reads: the id of the task whose checkpoints are evaluated, each once, in their order.
        warm_start: the SHA-256 of a checkpoint to begin with, in the place of the plan's own first state.
        export: for a `.keras` model, the settings of `fedelta export`, by the names of its options.
    """

    name: str
    population: str = "default"
    work: str | None = None
    policy: RoundPolicy = field(default_factory=RoundPolicy)
    reads: str | None = None
    export: dict[str, Any] = field(default_factory=dict)
    warm_start: str | None = None

    def __post_init__(self) -> None:
        check_name(self.name)


@dataclass(frozen=True)
class TaskView:
    """A task as it stands. `failure` says why one failed, `completed_because` what completed one."""

    task_id: str
    name: str
    population: str
    work: str
    state: str
    plan_sha256: str
    policy: RoundPolicy
    created_at: float
    rounds_completed: int
    reads: str | None = None
    ended_at: float | None = None
    failure: str = ""
    completed_because: str = ""


@dataclass(frozen=True)
class RoundView:
    """A round as it stands. `reads_round` is the round whose checkpoint it started from; 0 is the initial state."""

    round_number: int
    state: str
    reads_round: int
    assigned: int
    reported: int
    created_at: float
    ended_at: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True)
class CheckpointView:
    """A server state that is kept; fetch its bytes as a resource. Round 0 is the state that the task began with.

    Attributes:
        from_task_id, from_round: the checkpoint whose state it has, after a rollback or a warm start.
    """

    round_number: int
    sha256: str
    size_bytes: int
    created_at: float
    labels: tuple[str, ...] = ()
    from_task_id: str | None = None
    from_round: int | None = None


@dataclass(frozen=True)
class ResultView:
    """What a completed round gave; fetch its bytes, named tensors, as a resource.

    Attributes:
        type: the computation's type in compact notation.
        values: each tensor by its path (by its name where it has none), as a number or nested lists; NaN and the
            infinities as "NaN", "Infinity" and "-Infinity". None for a result of more than 10,000 elements.
    """

    task_id: str
    round_number: int
    type: str
    sha256: str
    size_bytes: int
    values: dict[str, Any] | None = None


@dataclass(frozen=True)
class DeviceView:
    """An enrolled device as it last said."""

    device_id: str
    population: str
    enrolled_at: float
    last_seen_at: float | None = None
    attributes: dict[str, str] = field(default_factory=dict)
    interpreter: str = ""
    revoked_at: float | None = None


@dataclass(frozen=True)
class EnrolmentTokenRequest:
    """Ask for an enrolment token: for which population, for how many devices, good for how long."""

    population: str = "default"
    uses: int = 1
    expires_in_seconds: float = 7 * 24 * 3600.0

    def __post_init__(self) -> None:
        if not (1 <= self.uses <= MAX_USES and 0 < self.expires_in_seconds <= MAX_TOKEN_SECONDS):
            raise ValueError(
                f"uses is 1 to {MAX_USES} and expires_in_seconds more than 0 and at most {MAX_TOKEN_SECONDS:g}, "
                f"found {self.uses} and {self.expires_in_seconds}"
            )


@dataclass(frozen=True)
class EnrolmentToken:
    """A fresh enrolment token. It is shown this once; only its hash is kept."""

    token: str
    population: str
    uses: int
    expires_at: float


@dataclass(frozen=True)
class PopulationRequest:
    """Ask for a new population."""

    name: str


@dataclass(frozen=True)
class PopulationView:
    """A named set of devices."""

    name: str
    devices: int


@dataclass(frozen=True)
class EnrolmentTokenView:
    """An enrolment token as it stands; the token itself is known to nobody here."""

    token_id: str
    population: str
    uses: int
    uses_left: int
    created_at: float
    expires_at: float
    revoked_at: float | None = None


@dataclass(frozen=True)
class ApiKeyRequest:
    """Ask for another operator API key, or another name for one."""

    name: str

    def __post_init__(self) -> None:
        check_name(self.name)


@dataclass(frozen=True)
class ApiKey:
    """A fresh operator API key. It is shown this once; only its hash is kept."""

    key_id: str
    name: str
    api_key: str


@dataclass(frozen=True)
class ApiKeyView:
    """An operator API key as it stands; the key itself is known to its holder alone."""

    key_id: str
    name: str
    created_at: float
    revoked_at: float | None = None


@dataclass(frozen=True)
class ReasonCount:
    """So many assignments of a round ended so, for this reason."""

    state: str
    reason: str
    count: int


@dataclass(frozen=True)
class RoundDetail:
    """A round with what became of its devices: how many assignments are in which state, and the commonest reasons."""

    round: RoundView
    assignments: dict[str, int]
    reasons: tuple[ReasonCount, ...] = ()


@dataclass(frozen=True)
class AssignmentView:
    """One device's work in a round. What it reported is not here: single reports are nobody's to look at."""

    assignment_id: str
    device_id: str
    state: str
    assigned_at: float
    ended_at: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class TaskPage:
    """Tasks, newest first."""

    tasks: tuple[TaskView, ...]
    next_cursor: str | None = None


@dataclass(frozen=True)
class RoundPage:
    """A task's rounds, in their order."""

    rounds: tuple[RoundView, ...]
    next_cursor: str | None = None


@dataclass(frozen=True)
class CheckpointPage:
    """A task's checkpoints, in the order of their rounds."""

    checkpoints: tuple[CheckpointView, ...]
    next_cursor: str | None = None


@dataclass(frozen=True)
class DevicePage:
    """Enrolled devices, newest first."""

    devices: tuple[DeviceView, ...]
    next_cursor: str | None = None


@dataclass(frozen=True)
class PopulationPage:
    """Populations, by name."""

    populations: tuple[PopulationView, ...]
    next_cursor: str | None = None


@dataclass(frozen=True)
class EnrolmentTokenPage:
    """Enrolment tokens, newest first."""

    tokens: tuple[EnrolmentTokenView, ...]
    next_cursor: str | None = None


@dataclass(frozen=True)
class ApiKeyPage:
    """Operator API keys, oldest first."""

    api_keys: tuple[ApiKeyView, ...]
    next_cursor: str | None = None


@dataclass(frozen=True)
class AssignmentPage:
    """A round's assignments, by their devices' ids."""

    assignments: tuple[AssignmentView, ...]
    next_cursor: str | None = None


def check_name(name: str) -> None:
    """Refuse, with a `ValueError`, what is no name of a task or a key."""
    if not (1 <= len(name) <= MAX_NAME_CHARACTERS and name.isprintable()):
        raise ValueError(f"name has {len(name)} characters; 1 to {MAX_NAME_CHARACTERS} printable ones are allowed")
