"""An update's way to the store: announced, then sent in as many connections as it takes.

An assignment's updates are noted before their first byte, in the same transaction that counts them: so no two requests
together pass the limit, whichever replica takes them. What was announced counts, whether or not its bytes came.
"""

from sqlalchemy import Connection

from orchestrator.context import Context
from orchestrator.db import queries
from orchestrator.db.records import AssignmentRecord, DeviceRecord
from orchestrator.errors import InvalidRequestError
from orchestrator.services import reporting
from orchestrator.storage.protocol import Incoming
from wire import tensors
from wire.errors import ErrorCode
from wire.messages import Resource, Upload

UPDATES_PER_ASSIGNMENT = 4


async def plan_upload(context: Context, device: DeviceRecord, assignment_id: str, update: Resource) -> Upload:
    """What is still to be sent of an update, and where to.

    Raises:
        NotFoundError: the assignment is not this device's.
        ConflictError: its round takes no update any more.
        InvalidRequestError: its plan gives the update another size, or too many others were announced.
    """
    await _announce(context, device, assignment_id, update)
    parts = await context.in_store_thread(lambda: context.store.missing_parts(assignment_id, update))
    return Upload(parts)


async def receive_update(
    context: Context, device: DeviceRecord, assignment_id: str, sha256: str, offset: int, length: int | None
) -> Incoming:
    """Begin to take an update's bytes from `offset` to its end.

    Args:
        length: how many bytes the request says it brings; None where it does not say.

    Raises:
        NotFoundError, ConflictError: as `plan_upload`; or the bytes before `offset` are not there.
        InvalidRequestError: as `plan_upload`; or the bytes would be too few or too many.
    """
    assignment, is_announced = await context.database.read(
        lambda tx: (_open_assignment(tx, device, assignment_id), queries.uploads.exists(tx, assignment_id, sha256))
    )
    try:
        update = Resource(sha256, _size_of_update(assignment))
    except ValueError as error:
        raise InvalidRequestError(str(error)) from None
    expected = update.size_bytes - offset
    if expected < 0 or (length is not None and length > expected):
        raise InvalidRequestError(
            f"the update is longer than the {update.size_bytes} bytes of its plan", ErrorCode.TOO_LARGE
        )
    if length is not None and length < expected:
        raise InvalidRequestError(f"expected the last {expected} bytes, found {length}", ErrorCode.INVALID_UPDATE)
    if not is_announced:
        await _announce(context, device, assignment_id, update)
    return await context.in_store_thread(lambda: context.store.receive(assignment_id, update, offset))


async def _announce(context: Context, device: DeviceRecord, assignment_id: str, update: Resource) -> None:
    await context.database.write(lambda tx: _note(tx, device, assignment_id, update, context.clock()))


def _note(tx: Connection, device: DeviceRecord, assignment_id: str, update: Resource, now: float) -> None:
    assignment = _open_assignment(tx, device, assignment_id)
    size_bytes = _size_of_update(assignment)
    if update.size_bytes != size_bytes:
        raise InvalidRequestError(
            f"the update has {size_bytes} bytes by its plan, not {update.size_bytes}", ErrorCode.INVALID_UPDATE
        )
    if queries.uploads.exists(tx, assignment_id, update.sha256):
        return
    if (others := queries.uploads.count(tx, assignment_id)) >= UPDATES_PER_ASSIGNMENT:
        raise InvalidRequestError(f"{others} other updates were announced for this assignment; report one of them")
    queries.uploads.add(tx, assignment_id, update.sha256, now)


def _open_assignment(tx: Connection, device: DeviceRecord, assignment_id: str) -> AssignmentRecord:
    assignment = reporting.own_assignment(tx, device, assignment_id)
    reporting.check_open(assignment)
    return assignment


def _size_of_update(assignment: AssignmentRecord) -> int:
    specs = assignment.round.task.work.update_specs
    if not specs:
        raise InvalidRequestError(f"the work {assignment.round.task.work_name!r} has no update to upload")
    return tensors.encoded_size(specs)
