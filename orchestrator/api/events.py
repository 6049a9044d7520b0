"""What happens, as it happens: streams of server-sent events.

A stream asks the database for what came after its last event, so that any replica may serve it, and asks for more only
when the reader has taken what it got: a slow reader holds a page of events and nothing else, and one that takes nothing
for a minute is let go.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse
from starlette.types import Message, Send

from orchestrator.api.access import ContextOf, Operator
from orchestrator.api.exchange import REFUSALS
from orchestrator.context import Context
from orchestrator.db import queries
from orchestrator.errors import UnavailableError
from orchestrator.services import tasks
from wire import events, routes
from wire.events import Event

router = APIRouter(tags=["events"], dependencies=[Operator])

_PAGE = 200
_POLL_SECONDS = 0.5
_HEARTBEAT_SECONDS = 15.0
_LARGEST_ID = (1 << 63) - 1
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_DESCRIBED = {
    "response_class": Response,
    "responses": {200: {"description": "Events", "content": {events.MEDIA_TYPE: {}}}} | REFUSALS,
}
After = Annotated[
    int | None, Query(ge=0, le=_LARGEST_ID, description="Only later events; without it, only those from now on")
]
LastEventId = Annotated[
    int | None, Header(alias=events.LAST_EVENT_HEADER, ge=0, le=_LARGEST_ID, description="As `after`")
]


@router.get(routes.EVENTS, **_DESCRIBED)  # type: ignore[arg-type]
async def all_events(context: ContextOf, after: After = None, last_event_id: LastEventId = None) -> Response:
    """What happens to tasks and rounds."""
    return await _stream(context, after if last_event_id is None else last_event_id, None)


@router.get(routes.task_events("{task_id}"), **_DESCRIBED)  # type: ignore[arg-type]
async def events_of_task(
    task_id: str, context: ContextOf, after: After = None, last_event_id: LastEventId = None
) -> Response:
    """What happens to one task and its rounds."""
    await context.database.read(lambda tx: tasks.existing_task(tx, task_id))
    return await _stream(context, after if last_event_id is None else last_event_id, task_id)


async def _stream(context: Context, after: int | None, task_id: str | None) -> Response:
    if context.event_streams.locked():
        raise UnavailableError("this server serves as many event streams as it may; close one, or poll")
    first = await _first(context, after)
    return EventStream(context, _told(context, first, task_id))


async def _first(context: Context, after: int | None) -> Event:
    """The event of the stream itself that it begins with."""
    oldest, newest = await context.database.read(queries.events.kept)
    if after is None or after > newest:  # ids of another database, before a backup was restored
        return Event(newest, events.OPENED, context.clock())
    kind = events.MISSED if after + 1 < oldest else events.OPENED
    return Event(after, kind, context.clock())


async def _told(context: Context, first: Event, task_id: str | None) -> AsyncIterator[bytes]:
    yield events.written(first)
    last, waited = first.event_id, 0.0
    while not context.draining.is_set():
        page = await _page_after(context, last, task_id)
        if page:
            yield b"".join(events.written(event) for event in page)
            last, waited = page[-1].event_id, 0.0
        elif waited >= _HEARTBEAT_SECONDS:
            yield events.HEARTBEAT
            waited = 0.0
        if len(page) < _PAGE:
            waited += _POLL_SECONDS
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(context.draining.wait(), _POLL_SECONDS)


async def _page_after(context: Context, event_id: int, task_id: str | None) -> tuple[Event, ...]:
    return await context.database.read(lambda tx: queries.events.after(tx, event_id, _PAGE, task_id))


class EventStream(StreamingResponse):
    """A stream that ends when its reader takes nothing for too long."""

    def __init__(self, context: Context, content: AsyncIterator[bytes]) -> None:
        super().__init__(content, headers=_HEADERS, media_type=events.MEDIA_TYPE)
        self._context = context

    async def stream_response(self, send: Send) -> None:
        """Send the stream."""

        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(self._context.settings.body_seconds):
                await send(message)

        async with self._context.event_streams:
            with self._context.metrics.event_streams.track_inprogress(), contextlib.suppress(TimeoutError):
                await super().stream_response(send_in_time)
