"""One pass of the protocol: check in, do the work if there is any, report.

The agent never sleeps and has no clock: `now` is given to it, and it says how long to rest. Its one rule: the journal
comes first. Whatever a pass is about to do is on the disk already, so a pass that is cut anywhere (an exception, a
signal, the power) is taken up by the next one.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from device_sdk import trust
from device_sdk.errors import DeadlineError, DeclinedError, RefusedError, TrainingError
from device_sdk.examples import ExampleStore
from device_sdk.identity import Identity
from device_sdk.journal import Entry, Journal
from device_sdk.kept import KeptStates
from device_sdk.offer import offer
from device_sdk.resources import ResourceCache
from device_sdk.session import DeviceSession
from device_sdk.state_dir import StateDir
from device_sdk.trainer import OnStep, Trained, train
from device_sdk.transport import Transport
from device_sdk.trust import PlanVersions
from device_sdk.uploads import check_size, missing_parts, part_at_once
from plans.bundle import digest
from wire import statements
from wire.errors import ErrorCode
from wire.messages import (
    Assignment,
    Outcome,
    Rejection,
    Report,
    ReportReceipt,
    Resource,
    UpdateManifest,
    UploadPart,
)

_log = logging.getLogger(__name__)

# A work that was begun so often and never ended has stopped the process each time.
MAX_ATTEMPTS = 3
MAX_REASON_CHARACTERS = 500

# The orchestrator is done with the assignment: there is nothing left to tell it.
OVER = frozenset({ErrorCode.ASSIGNMENT_CLOSED, ErrorCode.NOT_FOUND, ErrorCode.REPORT_CONFLICT})

# It will never take what was sent, but waits on: it is told that the work failed.
UNACCEPTABLE = frozenset(
    {
        ErrorCode.INVALID_REQUEST,
        ErrorCode.INVALID_UPDATE,
        ErrorCode.NOT_FINITE,
        ErrorCode.OUT_OF_RANGE,
        ErrorCode.TOO_LARGE,
    }
)


@dataclass(frozen=True)
class Pass:
    """How a pass ended.

    Attributes:
        outcome: what was reported; None where nothing was.
        rest_seconds: how long the orchestrator told the device to rest; None where it did not.
    """

    outcome: Outcome | None = None
    rest_seconds: float | None = None


class Agent:
    """A device's side of the protocol, over one state directory.

    Args:
        now: UTC seconds since 1970.
        elapsed: seconds that never jump, counted from any moment. A device's clock may be set while it works, so a
            deadline is counted in these; only one that was read from the journal is held against the clock.
        on_step: hears of every batch, as (done, total).
    """

    def __init__(
        self,
        state: StateDir,
        identity: Identity,
        transport: Transport,
        store: ExampleStore,
        *,
        now: Callable[[], float],
        elapsed: Callable[[], float],
        on_step: OnStep = lambda done, total: None,
    ) -> None:
        self._identity = identity
        self._transport = transport
        self._store = store
        self._now = now
        self._elapsed = elapsed
        self._ends_at: dict[str, float] = {}
        self._on_step = on_step
        self._session = DeviceSession(identity, transport)
        self._journal = Journal(state)
        self._kept = KeptStates(state)
        self._versions = PlanVersions(state.plan_versions)
        self._resources = ResourceCache(state.cache, self._fetch)
        self._told: str | None = None

    def run_once(self) -> Pass:
        """One pass: what is in flight first, else a check-in and what it brings.

        Raises:
            TransportError: the orchestrator was not reached; another pass goes on from here.
            RefusedError: it refused the device, or a call that another pass may repeat.
            StateError: the state directory does not do.
        """
        entry = self._journal.read()
        if entry is not None:
            _log.info("resuming %s", _named(entry.assignment))
            return self._finish(entry, is_resumed=True)
        check_in = offer(self._store, self._identity.record.attributes)
        reply = self._session.call(lambda token: self._transport.check_in(token, check_in))
        if reply.rejection is not None:
            return self._rest(reply.rejection)
        self._told = None
        return Pass() if reply.assignment is None else self._accept(reply.assignment)

    @property
    def is_at_work(self) -> bool:
        """Whether an assignment is in flight, which the next pass goes on with."""
        return self._journal.read() is not None

    def _rest(self, rejection: Rejection) -> Pass:
        # Said once, not at every check-in of an idle day.
        level = logging.DEBUG if rejection.reason == self._told else logging.INFO
        rest = rejection.retry_after_seconds
        _log.log(level, "checked in: nothing to do (%s), next in %.1f s", rejection.reason, rest)
        self._told = rejection.reason
        return Pass(rest_seconds=rest)

    def _accept(self, assignment: Assignment) -> Pass:
        _log.info("assigned %s", _named(assignment))
        self._ends_at = {assignment.assignment_id: self._elapsed() + assignment.deadline_seconds}
        entry = self._journal.open(assignment, self._now() + assignment.deadline_seconds)
        return self._finish(entry, is_resumed=False)

    def _finish(self, entry: Entry, *, is_resumed: bool) -> Pass:
        try:
            if entry.report is not None:
                return self._deliver(entry, entry.report, is_resumed=is_resumed)
            if self._is_late(entry):
                return self._drop(entry, "its deadline has passed")
            return self._settle(entry, *self._work(entry))
        except DeadlineError as error:
            return self._drop(entry, str(error))
        except RefusedError as error:
            if error.code in UNACCEPTABLE and not _tells_of_failure(entry.report):
                reason = f"the orchestrator refused it: {error}"
                return self._settle(entry, _without_update(entry.assignment, Outcome.FAILED, reason))
            if error.code in OVER | UNACCEPTABLE or self._is_late(entry):
                return self._drop(entry, str(error))
            raise

    def _is_late(self, entry: Entry) -> bool:
        ends_at = self._ends_at.get(entry.assignment.assignment_id)
        return self._now() >= entry.deadline if ends_at is None else self._elapsed() >= ends_at

    def _settle(self, entry: Entry, report: Report, trained: Trained | None = None) -> Pass:
        update, kept = (b"", b"") if trained is None else (trained.update, trained.kept)
        return self._deliver(self._journal.end(entry, report, update, kept), report, is_resumed=False)

    def _drop(self, entry: Entry, reason: str) -> Pass:
        _log.warning("dropped %s: %s", _named(entry.assignment), reason)
        self._journal.clear()
        return Pass()

    def _work(self, entry: Entry) -> tuple[Report, Trained | None]:
        """Do the work; the report of how it ended, and what it gave, if it gave anything."""
        try:
            trained = self._train(entry)
            if trained.update:
                check_size(entry.assignment, len(trained.update))
        except DeclinedError as error:
            return _without_update(entry.assignment, Outcome.DECLINED, str(error)), None
        except TrainingError as error:
            return _without_update(entry.assignment, Outcome.FAILED, str(error)), None
        _log.info("trained %d steps on %d examples%s", trained.steps, trained.examples, _means(trained.metrics))
        return self._completed(entry.assignment, trained), trained

    def _train(self, entry: Entry) -> Trained:
        assignment = entry.assignment
        if entry.attempts >= MAX_ATTEMPTS:
            raise TrainingError(f"the device stopped in the middle of the work {entry.attempts} times")
        highest = self._versions.highest(assignment.task_id)
        trust.check_plan(assignment, self._identity.record, highest_version=highest, now=self._now())
        self._versions.record(assignment.task_id, assignment.plan.statement.version)
        plan = self._resources.read(assignment.plan.resource)
        broadcast = self._resources.read(assignment.broadcast)
        self._resources.prune(assignment.plan.resource, assignment.broadcast)
        self._kept.prune(self._now())
        self._journal.begin(entry)

        def on_step(done: int, total: int) -> None:
            if self._is_late(entry):
                raise DeadlineError(f"its deadline passed after {done} of {total} steps")
            self._on_step(done, total)

        return train(assignment, plan, broadcast, self._store, self._kept, on_step)

    def _completed(self, assignment: Assignment, trained: Trained) -> Report:
        if not trained.update:
            return Report(Outcome.COMPLETED, trained.metrics)
        sha256 = digest(trained.update)
        signature = self._identity.key.sign(
            statements.update(assignment.assignment_id, assignment.round_number, sha256)
        )
        return Report(
            Outcome.COMPLETED, trained.metrics, UpdateManifest(Resource(sha256, len(trained.update)), signature)
        )

    def _deliver(self, entry: Entry, report: Report, *, is_resumed: bool) -> Pass:
        """Upload and report. A resumed report goes first alone: perhaps only its answer was lost."""
        assignment = entry.assignment
        try:
            if not is_resumed:
                self._upload(assignment, report, is_first=True)
            self._report(assignment, report)
        except RefusedError as error:
            if not is_resumed or error.code != ErrorCode.UPDATE_MISSING:
                raise
            self._upload(assignment, report, is_first=False)
            self._report(assignment, report)
        self._kept.commit(entry.kept_sha256)
        self._journal.clear()
        _log.info("reported round %d: %s", assignment.round_number, report.outcome.value)
        return Pass(report.outcome)

    def _upload(self, assignment: Assignment, report: Report, *, is_first: bool) -> None:
        """Send what is still missing of the update: the orchestrator knows what came before a cut."""
        if report.update is None:
            return
        resource, update = report.update.resource, self._journal.read_update()
        if is_first and (whole := part_at_once(assignment, resource)) is not None:
            self._upload_part(whole, update)
            return
        upload = self._session.call(
            lambda token: self._transport.plan_upload(token, assignment.assignment_id, resource)
        )
        for part in missing_parts(upload, len(update)):
            self._upload_part(part, update[part.offset : part.offset + part.size_bytes])

    def _upload_part(self, part: UploadPart, body: bytes) -> None:
        self._session.call(lambda token: self._transport.upload(token, part, body))

    def _report(self, assignment: Assignment, report: Report) -> ReportReceipt:
        return self._session.call(lambda token: self._transport.report(token, assignment.assignment_id, report))

    def _fetch(self, resource: Resource, offset: int, write: Callable[[bytes], object]) -> None:
        self._session.call(lambda token: self._transport.fetch(token, resource, offset, write))


def _tells_of_failure(report: Report | None) -> bool:
    return report is not None and report.outcome is not Outcome.COMPLETED


def _without_update(assignment: Assignment, outcome: Outcome, reason: str) -> Report:
    _log.warning("%s %s: %s", outcome.value, _named(assignment), reason)
    return Report(outcome, reason=reason[:MAX_REASON_CHARACTERS])


def _named(assignment: Assignment) -> str:
    return f"round {assignment.round_number} of task {assignment.task_name} ({assignment.work})"


def _means(metrics: Mapping[str, float]) -> str:
    """`, loss 0.42` for the metrics loss_sum and loss_count."""
    names = [name.removesuffix("_sum") for name in sorted(metrics) if name.endswith("_sum")]
    means = [
        f", {name} {metrics[f'{name}_sum'] / count:.4g}" for name in names if (count := metrics.get(f"{name}_count"))
    ]
    return "".join(means)
