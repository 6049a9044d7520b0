"""A device offers to work, and gets an assignment or a time to come back."""

import random
import uuid

from sqlalchemy import Connection

from orchestrator.db import queries
from orchestrator.db.records import AssignmentRecord, DeviceRecord, RoundRecord
from orchestrator.domain import pacing, rounds, selection
from orchestrator.services import round_clock
from wire import routes, tensors
from wire.messages import Assignment, CheckIn, CheckInReply, Rejection, UploadPart


def check_in(
    tx: Connection,
    device: DeviceRecord,
    message: CheckIn,
    *,
    interval_seconds: float,
    randomness: random.Random,
    now: float,
) -> CheckInReply:
    """Select the device for a round that wants it, or say when to come back.

    A device that still owes a report gets the same assignment again: it may have lost it with its power.
    """
    queries.devices.saw(tx, device.device_id, message, now)
    owed = queries.assignments.open_of_device(tx, device.device_id)
    if owed is not None:
        return CheckInReply(assignment=_message(owed, now))
    for round_ in queries.rounds.selecting(tx, device.population):
        if _may_select(tx, device, message, round_) and queries.rounds.claim_place(
            tx, round_.round_id, round_.task.policy.cohort, now
        ):
            return CheckInReply(assignment=_assign(tx, device, round_, randomness, now))
    retry_after = pacing.retry_after_seconds(interval_seconds, randomness.random())
    return CheckInReply(rejection=Rejection(retry_after, "no round wants this device now"))


def _may_select(tx: Connection, device: DeviceRecord, message: CheckIn, round_: RoundRecord) -> bool:
    task = round_.task
    return selection.ineligible_because(
        message, task.policy, task.manifest, task.work
    ) is None and not queries.assignments.took_part(tx, round_.round_id, device.device_id)


def _assign(
    tx: Connection, device: DeviceRecord, round_: RoundRecord, randomness: random.Random, now: float
) -> Assignment:
    assignment_id = str(uuid.uuid4())
    queries.assignments.add(tx, assignment_id, round_.round_id, device.device_id, randomness.getrandbits(31), now)
    round_clock.advance(tx, round_.round_id, now)
    assigned = queries.assignments.by_id(tx, assignment_id)
    assert assigned is not None  # noqa: S101 - it was added a moment ago in this transaction
    return _message(assigned, now)


def _message(assignment: AssignmentRecord, now: float) -> Assignment:
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
        deadline_seconds=rounds.seconds_left(round_.progress, task.policy, now),
        seed=assignment.seed,
        upload=_upload(assignment),
    )


def _upload(assignment: AssignmentRecord) -> tuple[UploadPart, ...]:
    specs = assignment.round.task.work.update_specs
    if not specs:
        return ()
    return (UploadPart("PUT", routes.update(assignment.assignment_id), 0, tensors.encoded_size(specs)),)
