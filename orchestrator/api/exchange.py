"""Between HTTP and the messages of `wire`: bounded bodies in, documents out, and how both stand in OpenAPI."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import Request, Response
from pydantic import TypeAdapter
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from orchestrator.errors import InvalidRequestError
from orchestrator.settings import Settings
from wire import codec, routes
from wire.errors import ErrorCode

T = TypeVar("T")

REFUSALS: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "A problem document", "content": {routes.PROBLEM: {}}}
}


async def read_body(request: Request, limit: int, seconds: float) -> bytes:
    """A request's body, refused as soon as it is known to be longer than `limit` bytes, or to take too long."""
    try:
        async with asyncio.timeout(seconds):
            return await _read_bounded(request, limit)
    except TimeoutError:
        raise InvalidRequestError(f"the request's body did not come within {seconds:g} s") from None


async def chunks(request: Request, seconds: float) -> AsyncIterator[bytes]:
    """A long body piece by piece, as it comes.

    Raises:
        HTTPException: nothing came for so long. It says 408, so that the caller tries again.
        ClientDisconnect: the connection was cut.
    """
    stream = aiter(request.stream())
    while True:
        try:
            async with asyncio.timeout(seconds):
                piece = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise HTTPException(
                HTTPStatus.REQUEST_TIMEOUT, f"nothing of the request's body came for {seconds:g} s"
            ) from None
        yield piece


async def gathered(pieces: AsyncIterator[bytes], size_bytes: int) -> AsyncIterator[bytes]:
    """The same bytes in pieces of about this size. What has come is given before an error is."""
    waiting = bytearray()
    try:
        async for piece in pieces:
            waiting += piece
            if len(waiting) >= size_bytes:
                yield bytes(waiting)
                waiting.clear()
    except (ClientDisconnect, HTTPException):
        if waiting:
            yield bytes(waiting)
        raise
    if waiting:
        yield bytes(waiting)


async def _read_bounded(request: Request, limit: int) -> bytes:
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


async def read_message(request: Request, kind: type[T], settings: Settings) -> T:
    """The message in a request's body.

    Raises:
        MessageError: the body is not one.
    """
    return codec.loads(kind, await read_body(request, settings.max_document_bytes, settings.body_seconds))


def reply(document: object, status: int = 200) -> Response:
    """A document as a response."""
    return Response(codec.dumps(document), status, media_type=routes.JSON)


def described(*, takes: type | None = None, gives: type | None = None, status: int = 200) -> dict[str, Any]:
    """The keyword arguments with which a route that uses `read_message` and `reply` describes itself in OpenAPI."""
    extra: dict[str, Any] = {}
    if takes is not None:
        extra["requestBody"] = {"required": True, "content": {routes.JSON: {"schema": _schema(takes)}}}
    success: dict[str, Any] = {"description": "Success"}
    if gives is not None:
        success |= {
            "description": (gives.__doc__ or "").split("\n")[0],
            "content": {routes.JSON: {"schema": _schema(gives)}},
        }
    return {
        "status_code": status,
        "response_class": Response,
        "openapi_extra": extra,
        "responses": {status: success} | REFUSALS,
    }


def _schema(kind: type) -> dict[str, Any]:
    """The JSON schema of a message, with everything it refers to inside it."""
    assert dataclasses.is_dataclass(kind)  # noqa: S101 - messages are
    schema = TypeAdapter(kind).json_schema()
    definitions = schema.pop("$defs", {})
    return _inlined(schema, definitions)  # type: ignore[no-any-return]


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    match schema:
        case {"$ref": str(reference)}:
            return _inlined(definitions[reference.rsplit("/", 1)[-1]], definitions)
        case dict():
            return {name: _inlined(value, definitions) for name, value in schema.items()}
        case list():
            return [_inlined(value, definitions) for value in schema]
        case _:
            return schema


def _too_large(limit: int) -> InvalidRequestError:
    return InvalidRequestError(f"the request's body is longer than {limit} bytes", ErrorCode.TOO_LARGE)
