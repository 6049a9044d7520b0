"""Requests that make something, and may be sent again with the same `Idempotency-Key`."""

import hashlib
from collections.abc import Callable
from typing import Annotated

from fastapi import Header, Request, Response
from sqlalchemy import Connection

from orchestrator.context import Context
from orchestrator.services import idempotency
from orchestrator.services.idempotency import Repeatable
from wire import codec, routes

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias=routes.IDEMPOTENCY_HEADER,
        description="With the same key, the same request gets the first answer again, for a day",
    ),
]


def repeatable(request: Request, api_key: str, key: str | None, message: object, *contents: bytes) -> Repeatable | None:
    """A request as one that may be repeated, or None where it came without a key.

    Args:
        contents: what it brings besides the message.
    """
    if key is None:
        return None
    said = hashlib.sha256()
    for part in (request.method.encode(), request.url.path.encode(), codec.dumps(message), *contents):
        said.update(hashlib.sha256(part).digest())
    return Repeatable(api_key, key, said.hexdigest())


async def make(
    context: Context, repeatable: Repeatable | None, use_case: Callable[[Connection, float], object]
) -> Response:
    """The answer, 201, to a request that makes something: what the use case gives, or what it gave the first time."""

    def answer(tx: Connection) -> bytes:
        now = context.clock()
        if repeatable is None:
            return codec.dumps(use_case(tx, now))
        return idempotency.answer_once(tx, repeatable, lambda: codec.dumps(use_case(tx, now)), now)

    return Response(await context.database.write(answer), 201, media_type=routes.JSON)


async def earlier_answer(context: Context, repeatable: Repeatable | None) -> Response | None:
    """The answer that the request got before, for one whose work begins before its transaction."""
    if repeatable is None:
        return None
    body = await context.database.read(lambda tx: idempotency.first_answer(tx, repeatable, context.clock()))
    return None if body is None else Response(body, 201, media_type=routes.JSON)
