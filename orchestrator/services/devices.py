"""Devices as operators see them, and how one is shut out."""

from sqlalchemy import Connection

from orchestrator.db import queries
from orchestrator.db.records import DeviceRecord
from orchestrator.domain.assignments import AssignmentState
from orchestrator.errors import NotFoundError
from orchestrator.services import asynchronous, round_clock
from wire.operator_messages import DeviceView


def existing_device(tx: Connection, device_id: str) -> DeviceRecord:
    """The device of that id.

    Raises:
        NotFoundError: there is none.
    """
    device = queries.devices.by_id(tx, device_id)
    if device is None:
        raise NotFoundError(f"there is no device {device_id!r}")
    return device


def revoke(tx: Connection, device_id: str, now: float) -> DeviceRecord:
    """Shut a device out from this moment on: its sessions end, and its place in a round becomes free.

    A report that it gave before counts: it was accepted.

    Raises:
        NotFoundError: there is none of this id.
    """
    existing_device(tx, device_id)
    if queries.devices.revoke(tx, device_id, now):
        queries.sessions.end_of_device(tx, device_id)
        while (owed := queries.assignments.open_of_device(tx, device_id)) is not None:
            reason = "the device was revoked"
            queries.assignments.end(tx, owed.assignment_id, AssignmentState.EXPIRED, now, reason=reason)
            counting = asynchronous.counting_round(tx, owed.round)
            if counting is not None:
                queries.rounds.count_ending(tx, counting.round_id, AssignmentState.EXPIRED)
                round_clock.advance(tx, counting.round_id, now)
    return existing_device(tx, device_id)


def device_view(device: DeviceRecord) -> DeviceView:
    """A device as it last said of itself."""
    said = device.check_in
    return DeviceView(
        device_id=device.device_id,
        population=device.population,
        enrolled_at=device.enrolled_at,
        last_seen_at=device.last_seen_at,
        attributes={} if said is None else said.attributes,
        interpreter="" if said is None else f"{said.runtime.interpreter} {said.runtime.interpreter_version}",
        revoked_at=device.revoked_at,
    )
