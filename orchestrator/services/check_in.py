"""A device offers to work, and gets an assignment or a time to come back."""

import random
import uuid
from collections.abc import Sequence

from sqlalchemy import Connection

from orchestrator.attendance import Attendance
from orchestrator.db import queries
from orchestrator.db.records import AssignmentRecord, DeviceRecord, RoundRecord
from orchestrator.domain import pacing, rounds, selection, sharing
from orchestrator.domain.assignments import AssignmentState
from orchestrator.domain.pacing import Limits
from orchestrator.domain.rounds import RoundState
from orchestrator.domain.sharing import Claim
from orchestrator.services import round_clock
from plans.manifest import Work
from wire import routes
from wire.messages import Assignment, CheckIn, CheckInReply, Rejection, UploadPart

_LATE = 2.0  # a device that has not come after so many of its waits is not there


def check_in(
    tx: Connection,
    device: DeviceRecord,
    message: CheckIn,
    *,
    attendance: Attendance,
    hears_of_updates: bool,
    limits: Limits,
    randomness: random.Random,
    now: float,
) -> CheckInReply:
    """Select the device for a round that wants it, or say when to come back.

    A device that still owes a report gets the same assignment again: it may have lost it with its power.

    Args:
        hears_of_updates: whether an update is to be announced before it is sent; see `Store`.
    """
    traffic = attendance.count(tx, device, now)
    open_rounds = queries.rounds.open_in(tx, device.population)
    given = _assignment(tx, device, message, open_rounds, randomness, now)
    if given is not None:
        assignment = _message(given, now, hears_of_updates=hears_of_updates)
        attendance.note(device, message, now, now + assignment.deadline_seconds)
        return CheckInReply(assignment=assignment)
    needs = pacing.wanted((round_.task.policy, round_.task.reads is not None) for round_ in open_rounds)
    wait = float(pacing.retry_after_seconds(randomness.random(), now, traffic.devices, needs, limits))
    attendance.note(device, message, now, now + _LATE * wait)
    return CheckInReply(rejection=Rejection(wait, "no round wants this device now"))


def _assignment(
    tx: Connection,
    device: DeviceRecord,
    message: CheckIn,
    open_rounds: Sequence[RoundRecord],
    randomness: random.Random,
    now: float,
) -> AssignmentRecord | None:
    owed = queries.assignments.open_of_device(tx, device.device_id)
    if owed is not None:
        return owed
    fitting = [round_ for round_ in open_rounds if _may_select(tx, device, message, round_)]
    draws = [randomness.random() for _ in fitting]
    for round_ in sharing.in_turn([(_claim(round_), round_) for round_ in fitting], draws):
        policy = round_.task.policy
        if queries.rounds.claim_place(
            tx, round_.round_id, policy.places, now, reports_free_places=policy.is_asynchronous
        ):
            return _assign(tx, device, round_, randomness, now)
    return None


def _may_select(tx: Connection, device: DeviceRecord, message: CheckIn, round_: RoundRecord) -> bool:
    task = round_.task
    if round_.state is not RoundState.SELECTION:
        return False
    reason = selection.ineligible_because(
        message,
        selection.draw_of(device.device_id),
        task.policy,
        task.manifest,
        task.work,
        reads=task.reads is not None,
    )
    return reason is None and not _took_part(tx, device, round_) and _has_rested(tx, device, round_)


def _took_part(tx: Connection, device: DeviceRecord, round_: RoundRecord) -> bool:
    if queries.assignments.took_part(tx, round_.round_id, device.device_id):
        return True
    # So a round counts a device once, even one that an earlier round selected.
    return round_.task.policy.is_asynchronous and queries.assignments.is_counted_in(
        tx, round_.round_id, device.device_id
    )


def _has_rested(tx: Connection, device: DeviceRecord, round_: RoundRecord) -> bool:
    between = round_.task.policy.minimum_rounds_between
    if not between:
        return True
    last = queries.assignments.last_round_reported(tx, round_.task.task_id, device.device_id)
    return bool(selection.has_rested(selection.NEVER if last is None else last, round_.round_number, between))


def _claim(round_: RoundRecord) -> Claim:
    policy = round_.task.policy
    if policy.is_asynchronous:
        return Claim(None, policy.priority, 1)
    return Claim(round_.progress.first_assigned_at, policy.priority, policy.cohort)


def _assign(
    tx: Connection, device: DeviceRecord, round_: RoundRecord, randomness: random.Random, now: float
) -> AssignmentRecord:
    assignment_id, seed = str(uuid.uuid4()), randomness.getrandbits(31)
    queries.assignments.add(tx, assignment_id, round_.round_id, device.device_id, seed, now)
    advanced = round_clock.advance(tx, round_.round_id, now)
    return AssignmentRecord(assignment_id, advanced, device.device_id, AssignmentState.ASSIGNED, seed, now)


def _message(assignment: AssignmentRecord, now: float, *, hears_of_updates: bool) -> Assignment:
    round_ = assignment.round
    task = round_.task
    return Assignment(
        assignment_id=assignment.assignment_id,
        task_id=task.task_id,
        task_name=task.name,
        round_number=round_.round_number,
        work=task.work_name,
        plan=task.signed_plan,
        broadcast=round_.broadcast,
        deadline_seconds=rounds.seconds_left(round_.progress, task.policy, assignment.assigned_at, now),
        seed=assignment.seed,
        upload=_upload(assignment.assignment_id, task.work, hears_of_updates=hears_of_updates),
    )


def _upload(assignment_id: str, work: Work, *, hears_of_updates: bool) -> tuple[UploadPart, ...]:
    """The first that a device does with its update: to announce it, or to send it."""
    if not work.update:
        return ()
    where = ("POST", routes.upload(assignment_id)) if hears_of_updates else ("PUT", routes.update(assignment_id))
    return (UploadPart(*where, 0, work.update_size_bytes),)
