"""Who calls: how a route learns of its device or its operator.

Devices' routes are plain (`api.plain`): they take the token from the request, and find out whose it is in the
transaction that does their work. Operators' routes have both injected.
"""

from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from orchestrator.context import Context
from orchestrator.errors import UnauthenticatedError
from orchestrator.services import sessions
from orchestrator.services.operators import API_KEY_PREFIX

_device_scheme = HTTPBearer(auto_error=False, scheme_name="Device session", description="A device's session token")
_operator_scheme = HTTPBearer(auto_error=False, scheme_name="Operator", description="An operator's API key")

Credentials = HTTPAuthorizationCredentials | None

# Says in its description that a plain route is for devices.
FOR_DEVICES = Security(_device_scheme)


def context_of(request: Request) -> Context:
    """The orchestrator that serves this request."""
    context = request.app.state.context
    assert isinstance(context, Context)  # noqa: S101 - the application puts it there before it serves
    return context


async def current_context(request: Request) -> Context:
    """`context_of`, to be injected. Asynchronous, for a plain function would cost a thread's turn."""
    return context_of(request)


ContextOf = Annotated[Context, Depends(current_context)]


def token_of(request: Request) -> str:
    """The token that came with a request, which nobody has looked at yet.

    Raises:
        UnauthenticatedError: there is none.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise UnauthenticatedError("the request has no `Authorization: Bearer …` header")
    return token


async def check_device(request: Request) -> None:
    """Refuse a request that no device makes."""
    context, token = context_of(request), token_of(request)
    await context.database.read(lambda tx: sessions.device_of(tx, token, context.clock()))


async def check_known(request: Request) -> None:
    """Refuse a request that neither a device nor an operator makes, unless resources are everybody's."""
    if context_of(request).settings.public_resources:
        return
    if token_of(request).startswith(API_KEY_PREFIX):
        await _check_operator(request)
    else:
        await check_device(request)


async def current_operator(request: Request, _: Annotated[Credentials, Security(_operator_scheme)]) -> str:
    """The good API key that came with the request."""
    return await _check_operator(request)


Operator = Depends(current_operator)
OperatorKey = Annotated[str, Depends(current_operator)]


async def _check_operator(request: Request) -> str:
    context, api_key = context_of(request), token_of(request)
    await context.database.read(lambda tx: sessions.operator_of(tx, api_key))
    return api_key
