"""Bytes that never change, by their digest: whole, in part, or not at all where the caller has them (RFC 9110)."""

import re
import threading
from collections.abc import AsyncIterator, Generator
from http import HTTPStatus

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from starlette.exceptions import HTTPException

from orchestrator.api.access import FOR_DEVICES, check_known, context_of
from orchestrator.api.exchange import REFUSALS
from orchestrator.api.plain import PlainRoute
from orchestrator.context import Context
from orchestrator.errors import NotFoundError
from wire import routes

router = APIRouter(tags=["devices"], route_class=PlainRoute)

_FOR_EVER = "max-age=31536000, immutable"
# One span of bytes. Of several, or of what is no span at all, the whole is given, as RFC 9110 (14.2) allows.
_SPAN = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


@router.get(
    routes.resource("{sha256}"),
    dependencies=[FOR_DEVICES],
    response_class=Response,
    responses={**REFUSALS, 200: {"content": {routes.OCTETS: {}}}},
)
async def resource(request: Request, sha256: str) -> Response:
    """Bytes that never change, whole or by `Range`."""
    await check_known(request)
    context = context_of(request)
    size_bytes = await context.in_store_thread(lambda: context.store.size_bytes(sha256))
    if size_bytes is None:
        raise _unknown(sha256)
    etag = f'"{sha256}"'
    whose = "public" if context.settings.public_resources else "private"
    headers = {"ETag": etag, "Cache-Control": f"{whose}, {_FOR_EVER}", "Accept-Ranges": "bytes"}
    if _is_known(request.headers.get("If-None-Match", ""), etag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    asked = request.headers.get("Range", "") if request.headers.get("If-Range", etag) == etag else ""
    span = requested_span(asked, size_bytes)
    start, end = span or (0, size_bytes)
    headers["Content-Length"] = str(end - start)
    if span is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size_bytes}"
    status = HTTPStatus.OK if span is None else HTTPStatus.PARTIAL_CONTENT
    body = await _begun(context, sha256, start, end)
    return StreamingResponse(body, status, headers, media_type=routes.OCTETS)


def requested_span(header: str, size_bytes: int) -> tuple[int, int] | None:
    """The bytes that a `Range` header asks for, as [start, end); None for the whole.

    Raises:
        HTTPException: there are no such bytes.
    """
    match = _SPAN.fullmatch(header.strip())
    if match is None or match[1] == match[2] == "":
        return None
    if match[1]:
        start, end = int(match[1]), min(int(match[2]) + 1 if match[2] else size_bytes, size_bytes)
        if match[2] and int(match[2]) < int(match[1]):
            return None
    else:
        start, end = max(size_bytes - int(match[2]), 0), size_bytes
    if start >= end:
        raise HTTPException(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            f"the resource has {size_bytes} bytes; the range {header!r} has none of them",
            {"Content-Range": f"bytes */{size_bytes}"},
        )
    return start, end


def _is_known(if_none_match: str, etag: str) -> bool:
    named = {text.strip().removeprefix("W/") for text in if_none_match.split(",")}
    return bool(named & {etag, "*"})


class _Reading:
    """A blob that is read in threads: whoever stops while a chunk is read lets that be finished."""

    def __init__(self, chunks: Generator[bytes, None, None]) -> None:
        self._chunks = chunks
        self._turn = threading.Lock()

    def next(self) -> bytes:
        """The next chunk; nothing after the last."""
        with self._turn:
            return next(self._chunks, b"")

    def close(self) -> None:
        """Let go of the blob."""
        with self._turn:
            self._chunks.close()


async def _begun(context: Context, sha256: str, start: int, end: int) -> AsyncIterator[bytes]:
    """The bytes, of which the first chunk is there already: a store that refuses does so before the answer begins."""
    reading = _Reading(context.store.chunks(sha256, start, end))
    try:
        first = await context.in_store_thread(reading.next)
    except FileNotFoundError:
        raise _unknown(sha256) from None
    return _all(context, first, reading)


async def _all(context: Context, chunk: bytes, reading: _Reading) -> AsyncIterator[bytes]:
    try:
        while chunk:
            yield chunk
            chunk = await context.in_store_thread(reading.next)
    finally:
        context.store_threads.submit(reading.close)


def _unknown(sha256: str) -> NotFoundError:
    return NotFoundError(f"there are no bytes with the digest {sha256!r}")
