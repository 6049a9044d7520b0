"""An update's way to the store: announced, then sent in as many connections as it takes.

An assignment's updates are noted before their first byte, in the same transaction that counts them: so no two requests
together pass the limit, whichever replica takes them. What was announced counts, whether or not its bytes came. Bytes
that come without an announcement are one.
"""

from collections.abc import Callable

from sqlalchemy import Connection

from orchestrator.context import Context
from orchestrator.db import queries
from orchestrator.db.records import AssignmentRecord
from orchestrator.errors import InvalidRequestError
from orchestrator.services import reporting, sessions
from orchestrator.storage.protocol import Incoming
from wire.errors import ErrorCode
from wire.messages import Resource, Upload

UPDATES_PER_ASSIGNMENT = 4


async def plan_upload(context: Context, token: str, assignment_id: str, update: Resource) -> Upload:
    """What is still to be sent of an update, and where to.

    Raises:
        UnauthenticatedError: the session token is not good.
        NotFoundError: the assignment is not its device's.
        ConflictError: its round takes no update any more.
        InvalidRequestError: its plan gives the update another size, or too many others were announced.
    """

    def check(size_bytes: int) -> None:
        if update.size_bytes != size_bytes:
            raise InvalidRequestError(
                f"the update has {size_bytes} bytes by its plan, not {update.size_bytes}", ErrorCode.INVALID_UPDATE
            )

    await _announce(context, token, assignment_id, update.sha256, check)
    parts = await context.in_store_thread(lambda: context.store.missing_parts(assignment_id, update))
    return Upload(parts)


async def receive_update(
    context: Context, token: str, assignment_id: str, sha256: str, offset: int, length: int | None
) -> Incoming:
    """Begin to take an update's bytes from `offset` to its end.

    Args:
        length: how many bytes the request says it brings; None where it does not say.

    Raises:
        UnauthenticatedError, NotFoundError: as `plan_upload`.
        ConflictError: as `plan_upload`; or the bytes before `offset` are not there.
        InvalidRequestError: as `plan_upload`; or the bytes would be too few or too many.
    """

    def check(size_bytes: int) -> None:
        expected = size_bytes - offset
        if expected < 0 or (length is not None and length > expected):
            raise InvalidRequestError(
                f"the update is longer than the {size_bytes} bytes of its plan", ErrorCode.TOO_LARGE
            )
        if length is not None and length < expected:
            raise InvalidRequestError(f"expected the last {expected} bytes, found {length}", ErrorCode.INVALID_UPDATE)

    update = await _announce(context, token, assignment_id, sha256, check)
    return await context.in_store_thread(lambda: context.store.receive(assignment_id, update, offset))


async def _announce(
    context: Context, token: str, assignment_id: str, sha256: str, check: Callable[[int], None]
) -> Resource:
    """Note an update of an open assignment, where the update's size by its plan is what `check` says."""
    return await context.database.write(lambda tx: _note(tx, token, assignment_id, sha256, check, context.clock()))


def _note(
    tx: Connection, token: str, assignment_id: str, sha256: str, check: Callable[[int], None], now: float
) -> Resource:
    assignment = reporting.own_assignment(tx, sessions.device_of(tx, token, now), assignment_id)
    reporting.check_open(assignment)
    try:
        update = Resource(sha256, _size_of_update(assignment))
    except ValueError as error:
        raise InvalidRequestError(str(error)) from None
    check(update.size_bytes)
    announced = queries.uploads.of_assignment(tx, assignment_id)
    if sha256 not in announced:
        if len(announced) >= UPDATES_PER_ASSIGNMENT:
            raise InvalidRequestError(
                f"{len(announced)} other updates were announced for this assignment; report one of them"
            )
        queries.uploads.add(tx, assignment_id, sha256, now)
    return update


def _size_of_update(assignment: AssignmentRecord) -> int:
    task = assignment.round.task
    if not task.work.update:
        raise InvalidRequestError(f"the work {task.work_name!r} has no update to upload")
    return task.work.update_size_bytes
