"""May this plan run here? Decided from its signed statement alone, before a byte of the plan is parsed.

The statement must be about these very bytes, this task and this population, under a key that the device pinned when it
enrolled, not expired and not older than a version that the device has seen. `check_plan` is a rule without I/O;
`PlanVersions` keeps the versions.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from device_sdk import files
from device_sdk.errors import DeclinedError
from device_sdk.identity import EnrolmentRecord
from wire import codec, statements
from wire.errors import MessageError
from wire.messages import Assignment, PlanStatement, SignedPlan

_log = logging.getLogger(__name__)

# 2026-01-01. A clock that is earlier was never set (a Pi has no battery for it), and cannot tell what has expired.
EARLIEST_MOMENT = 1_767_225_600


def check_plan(assignment: Assignment, record: EnrolmentRecord, *, highest_version: int, now: float) -> None:
    """Refuse a plan that its statement does not allow here and now.

    Args:
        highest_version: the newest version of the task's plan that this device has seen.
        now: UTC seconds since 1970, by this device's clock.

    Raises:
        DeclinedError: see the module's description.
    """
    statement = assignment.plan.statement
    problems = (*_mismatches(assignment, record), *_staleness(statement, highest_version, now))
    problem = next(iter(problems), None) or _signature_problem(assignment.plan, record)
    if problem is not None:
        raise DeclinedError(f"the plan is not trusted: {problem}")


def _mismatches(assignment: Assignment, record: EnrolmentRecord) -> Iterator[str]:
    statement = assignment.plan.statement
    if statement.plan_sha256 != assignment.plan.resource.sha256:
        yield f"its statement is about {statement.plan_sha256}, not {assignment.plan.resource.sha256}"
    if statement.task_id != assignment.task_id:
        yield f"its statement is for the task {statement.task_id!r}, not {assignment.task_id!r}"
    if statement.population != record.population:
        yield f"its statement is for the population {statement.population!r}; this device is in {record.population!r}"
    if statement.privacy:
        yield f"it demands {', '.join(sorted(statement.privacy))}, which this version cannot keep"


def _staleness(statement: PlanStatement, highest_version: int, now: float) -> Iterator[str]:
    if now >= EARLIEST_MOMENT and statement.expires <= now:
        yield f"it expired {now - statement.expires:.0f} seconds ago"
    if statement.version < highest_version:
        yield f"it is version {statement.version}; this device has seen version {highest_version}"


def _signature_problem(plan: SignedPlan, record: EnrolmentRecord) -> str | None:
    statement = plan.statement
    keys = {key.key_id: key for key in record.plan_keys}
    key = keys.get(statement.key_id)
    if key is None:
        return f"its key {statement.key_id!r} is none of those pinned at enrolment: {', '.join(keys) or 'none'}"
    if not statement.algorithm == key.algorithm == statements.ED25519:
        return f"it is signed with {statement.algorithm!r}; this version checks {statements.ED25519!r} only"
    try:
        public_key = Ed25519PublicKey.from_public_bytes(statements.from_base64(key.key, "key"))
        public_key.verify(statements.from_base64(plan.signature, "signature"), statements.plan(statement))
    except (InvalidSignature, MessageError, ValueError):
        return f"its signature is not one of the key {statement.key_id!r}"
    return None


@dataclass(frozen=True)
class _Versions:
    by_task: dict[str, int] = field(default_factory=dict)


class PlanVersions:
    """The newest plan version that a device has seen of each task, durably."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def highest(self, task_id: str) -> int:
        """The newest version seen of a task's plan; 0 before the first."""
        return self._read().by_task.get(task_id, 0)

    def record(self, task_id: str, version: int) -> None:
        """Remember a version of a plan that was trusted."""
        if version > self.highest(task_id):
            by_task = self._read().by_task | {task_id: version}
            files.write_durably(self._path, codec.dumps(_Versions(by_task)))

    def _read(self) -> _Versions:
        try:
            return codec.loads(_Versions, self._path.read_bytes())
        except FileNotFoundError:
            return _Versions()
        except MessageError as error:
            _log.warning("the plan versions cannot be read and are now %s: %s", files.set_aside(self._path), error)
            return _Versions()
