"""A device's update and report: checked from the cheapest to the dearest, durable before they are acknowledged.

A report is settled once. The same report again gets the first answer; another one is refused and changes nothing.
"""

import math
from dataclasses import dataclass

from sqlalchemy import Connection

from orchestrator.context import Context
from orchestrator.db import queries
from orchestrator.db.records import AssignmentRecord, DeviceRecord, RoundRecord
from orchestrator.domain import assignments, events, rounds, sums
from orchestrator.domain.assignments import AssignmentState
from orchestrator.errors import ConflictError, DamagedBlobError, InvalidRequestError, NotFoundError
from orchestrator.services import asynchronous, round_clock, sessions
from orchestrator.signing import is_signed
from plans.accumulators import contributions
from plans.errors import ContributionError
from wire import statements, tensors
from wire.errors import ErrorCode, TensorFormatError
from wire.messages import Outcome, Report, ReportReceipt, Resource, UpdateManifest


@dataclass(frozen=True)
class Settled:
    """What a report came to.

    Attributes:
        is_work_due: whether a worker may find something to do in the round now.
    """

    receipt: ReportReceipt
    is_work_due: bool


async def report(context: Context, token: str, assignment_id: str, message: Report) -> ReportReceipt:
    """Settle an assignment.

    Raises:
        UnauthenticatedError: the session token is not good.
        NotFoundError: the assignment is not its device's.
        ConflictError: it is settled otherwise, or its round takes no report any more.
        InvalidRequestError: the metrics or the update are not what the plan says.
    """

    def find(tx: Connection) -> tuple[DeviceRecord, AssignmentRecord]:
        device = sessions.device_of(tx, token, context.clock())
        return device, own_assignment(tx, device, assignment_id)

    device, assignment = await context.database.read(find)
    earlier = _earlier_receipt(assignment, message)
    if earlier is not None:
        return earlier
    check_open(assignment)
    if message.update is None:
        _check_report(context, device, assignment, message)
    else:
        async with context.checking.taken(assignment.round.task.work.update_size_bytes):
            await context.in_store_thread(lambda: _check_report(context, device, assignment, message))
    settled = await context.database.write(
        lambda tx: settle(tx, own_assignment(tx, device, assignment_id), message, context.clock())
    )
    if settled.is_work_due:
        context.wake.set()
    return settled.receipt


def own_assignment(tx: Connection, device: DeviceRecord, assignment_id: str) -> AssignmentRecord:
    """A device's assignment of this id.

    Raises:
        NotFoundError: the device has none.
    """
    assignment = queries.assignments.by_id(tx, assignment_id)
    if assignment is None or assignment.device_id != device.device_id:
        raise NotFoundError(f"this device has no assignment {assignment_id!r}")
    return assignment


def _earlier_receipt(assignment: AssignmentRecord, message: Report) -> ReportReceipt | None:
    """The first answer, where this report was given before; None where the assignment is still out."""
    outcome = assignments.OUTCOME_OF.get(assignment.state)
    if outcome is None:
        return None
    if (outcome, assignment.update_sha256) != (message.outcome, _digest(message)):
        raise ConflictError(
            f"the assignment was reported {outcome.value} with the update {assignment.update_sha256}; "
            "a report is never replaced",
            ErrorCode.REPORT_CONFLICT,
        )
    return ReportReceipt(assignment.assignment_id, outcome, assignment.update_sha256)


def check_open(assignment: AssignmentRecord) -> None:
    """Refuse what comes for an assignment that has ended.

    Raises:
        ConflictError: it was reported, or its round, which would have ended it, takes nothing more.
    """
    if assignment.state is not AssignmentState.ASSIGNED:
        raise ConflictError(
            f"round {assignment.round.round_number} of {assignment.round.task.name!r} takes nothing more from this "
            "assignment; check in again",
            ErrorCode.ASSIGNMENT_CLOSED,
        )


def settle(tx: Connection, assignment: AssignmentRecord, message: Report, now: float) -> Settled:
    """End an assignment with a report that was checked; with the same report again, give the first answer again.

    Raises:
        ConflictError: it is settled otherwise, or its round takes no report any more.
    """
    earlier = _earlier_receipt(assignment, message)
    if earlier is not None:
        return Settled(earlier, is_work_due=False)
    check_open(assignment)
    state = assignments.STATE_AFTER[message.outcome]
    counting = asynchronous.counting_round(tx, assignment.round)
    queries.assignments.end(
        tx,
        assignment.assignment_id,
        state,
        now,
        update_sha256=_digest(message),
        metrics=message.metrics,
        reason="".join(character if character.isprintable() else " " for character in message.reason),
        counted_in=counting.round_id if counting is not None and state is AssignmentState.REPORTED else None,
    )
    receipt = ReportReceipt(assignment.assignment_id, message.outcome, _digest(message))
    if counting is None:
        return Settled(receipt, is_work_due=False)
    queries.rounds.count_ending(tx, counting.round_id, state)
    if state is AssignmentState.REPORTED:
        _tell_of_report(tx, counting, now)
    round_ = round_clock.advance(tx, counting.round_id, now)
    is_work_due = round_.state not in rounds.ACCEPTS_REPORTS or sums.may_be_due(round_.progress, round_.sharded)
    return Settled(receipt, is_work_due)


def _tell_of_report(tx: Connection, round_: RoundRecord, now: float) -> None:
    reported = round_.progress.reported + 1
    if events.is_told(reported, round_.task.policy.goal):
        queries.events.add(tx, "round.reports", round_.task.task_id, now, round_.round_number, reported=reported)


def _digest(message: Report) -> str | None:
    return None if message.update is None else message.update.resource.sha256


def _check_report(context: Context, device: DeviceRecord, assignment: AssignmentRecord, message: Report) -> None:
    work = assignment.round.task.work
    if message.outcome is not Outcome.COMPLETED:
        if message.update is not None or message.metrics:
            raise InvalidRequestError(f"a report of {message.outcome.value} brings no update and no metrics")
        return
    if message.metrics.keys() != work.metrics.keys():
        expected, found = (", ".join(sorted(names)) or "none" for names in (work.metrics, message.metrics))
        raise InvalidRequestError(f"expected the metrics {expected}; found {found}")
    if not all(math.isfinite(value) for value in message.metrics.values()):
        raise InvalidRequestError("a metric is not finite", ErrorCode.NOT_FINITE)
    if (message.update is not None) != bool(work.update):
        needed = "an update" if work.update else "no update"
        raise InvalidRequestError(f"the work {assignment.round.task.work_name!r} reports {needed}")
    if message.update is not None:
        _check_update(context, device, assignment, message.update)


def _check_update(context: Context, device: DeviceRecord, assignment: AssignmentRecord, update: UpdateManifest) -> None:
    sha256 = update.resource.sha256
    statement = statements.update(assignment.assignment_id, assignment.round.round_number, sha256)
    if not is_signed(device.public_key, statement, update.signature):
        raise InvalidRequestError("the update's signature is not by this device's key", ErrorCode.INVALID_UPDATE)
    size_bytes = assignment.round.task.work.update_size_bytes
    if update.resource.size_bytes != size_bytes:
        raise InvalidRequestError(
            f"the update has {size_bytes} bytes by its plan, not {update.resource.size_bytes}", ErrorCode.INVALID_UPDATE
        )
    data = _read_update(context, assignment.assignment_id, update.resource)
    task = assignment.round.task
    try:
        values = tensors.decode_as(task.work.update_specs, data)
        contributions.check_contribution(task.work, values, task.policy.cohort)
    except TensorFormatError as error:
        raise InvalidRequestError(f"the update is not what the plan says: {error}", ErrorCode.INVALID_UPDATE) from None
    except ContributionError as error:
        raise InvalidRequestError(str(error), error.code) from None


def _read_update(context: Context, assignment_id: str, update: Resource) -> bytes:
    """The bytes of a reported update. Those that have another digest, as only an object store lets in, are deleted."""
    try:
        return context.store.read_arrived(assignment_id, update)
    except FileNotFoundError:
        raise ConflictError(
            f"no update {update.sha256} has come for this assignment; send it, then report", ErrorCode.UPDATE_MISSING
        ) from None
    except DamagedBlobError:
        context.store.delete_update(assignment_id, update.sha256)
        raise InvalidRequestError(
            f"what came for the update {update.sha256} has another digest; send it again", ErrorCode.DIGEST_MISMATCH
        ) from None
