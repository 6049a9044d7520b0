"""Routes without injection, for what devices ask all the time.

FastAPI describes them as it does the others. But while its machinery finds the others' arguments, which is half a
millisecond of processor time a request, the function of a plain route gets the request and the path's parameters.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send

from orchestrator.api.access import check_device, context_of
from orchestrator.api.exchange import read_message
from orchestrator.errors import InvalidRequestError
from wire.errors import MessageError

T = TypeVar("T")


class PlainRoute(APIRoute):
    """A route whose function is called with the request and the path's parameters, and gives the response.

    What else its decorator says, such as who may call it, is for the description alone.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **description: Any) -> None:
        super().__init__(path, endpoint, **description)
        self.app = self._answer

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self.endpoint(Request(scope, receive, send), **scope["path_params"])
        await response(scope, receive, send)


@asynccontextmanager
async def strangers_first(request: Request) -> AsyncIterator[None]:
    """Tell a stranger that it is one before what is wrong with its request."""
    try:
        yield
    except (MessageError, InvalidRequestError):
        await check_device(request)
        raise


async def message_of_device(request: Request, kind: type[T]) -> T:
    """`read_message`, strangers first."""
    async with strangers_first(request):
        return await read_message(request, kind, context_of(request).settings)
