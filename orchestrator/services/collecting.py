"""Deletes what nothing needs any more: updates of ended rounds at once, blobs that no row refers to after a grace.

Every step is bounded, and can be repeated or left half-way. A blob is claimed in one transaction, then deleted, then
forgotten in another. A put notes its blob first and is refused while that one is claimed, and what was noted lately is
not claimed: so nobody's put is deleted before the row that refers to it is there. A claim that is older than
`CLAIM_SECONDS` was left over by somebody who died, and is taken over.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection

from orchestrator.context import WorkerContext
from orchestrator.db import queries
from orchestrator.db.database import Database
from orchestrator.domain.blobs import FIRST, BlobName
from orchestrator.errors import StoreUnavailableError
from orchestrator.storage.protocol import Note

CLAIM_SECONDS = 120.0
_DELETING_SECONDS = 30.0  # with the store's own patience for the last one, well below CLAIM_SECONDS
_BATCH = 200


@dataclass(frozen=True)
class Claim:
    """Some blobs to delete, and where the next look goes on; None at the end."""

    blobs: tuple[BlobName, ...]
    claimed_at: float
    following: BlobName | None


def noting(database: Database, clock: Callable[[], float]) -> Note:
    """Lets a store note every blob before it puts it."""

    def note(blob: BlobName) -> None:
        if not database.submit(lambda tx: queries.blobs.note(tx, blob, clock())).result():
            raise StoreUnavailableError(f"the blob {blob.sha256} is being deleted just now; put it again")

    return note


async def delete_updates_of_ended_rounds(context: WorkerContext) -> None:
    """Delete the updates whose rounds have ended: their bytes first, then the rows that know of them."""
    while ended := await context.database.read(lambda tx: queries.uploads.of_ended_rounds(tx, _BATCH)):
        await _delete_updates(context, ended)
        await context.database.write(partial(queries.uploads.forget, assignment_ids=ended))


async def delete_strays(context: WorkerContext) -> None:
    """Delete updates that no row knows of: their round had ended when their first byte came."""
    kept = sorted(await context.in_store_thread(context.store.assignments_with_updates))
    for start in range(0, len(kept), _BATCH):
        batch = kept[start : start + _BATCH]
        known = await context.database.read(partial(queries.uploads.among, assignment_ids=batch))
        await _delete_updates(context, tuple(sorted(set(batch) - known)))


async def collect_blobs(context: WorkerContext) -> int:
    """Go through the blobs once, and delete those that nothing refers to; how many there were."""
    deleted, after = 0, FIRST
    while True:
        claim = await context.database.write(partial(_claim, context, after))
        deleted += await _delete_blobs(context, claim)
        if claim.following is None:
            return deleted
        after = claim.following


def _claim(context: WorkerContext, after: BlobName, tx: Connection) -> Claim:
    now = context.clock()
    put_before = now - context.settings.grace_seconds
    blobs, following = queries.blobs.claim_unneeded(
        tx, after, _BATCH, now=now, put_before=put_before, claimed_before=now - CLAIM_SECONDS
    )
    return Claim(blobs, now, following)


async def _delete_blobs(context: WorkerContext, claim: Claim) -> int:
    end = time.monotonic() + _DELETING_SECONDS

    def delete() -> tuple[BlobName, ...]:
        done = []
        for blob in claim.blobs:
            if time.monotonic() > end:
                break  # somebody may take the claim over soon; the rest waits for that
            context.store.delete(blob)
            done.append(blob)
        return tuple(done)

    if not claim.blobs:
        return 0
    done = await context.in_store_thread(delete)
    await context.database.write(lambda tx: queries.blobs.forget(tx, done, claim.claimed_at))
    return len(done)


async def _delete_updates(context: WorkerContext, assignment_ids: tuple[str, ...]) -> None:
    def delete() -> None:
        for assignment_id in assignment_ids:
            context.store.delete_updates(assignment_id)

    await context.in_store_thread(delete)
