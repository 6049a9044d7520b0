"""Who calls: what a route asks for to know its device or its operator."""

from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from orchestrator.context import Context
from orchestrator.db.records import DeviceRecord
from orchestrator.errors import UnauthenticatedError
from orchestrator.services import sessions
from orchestrator.services.operators import API_KEY_PREFIX

_device_scheme = HTTPBearer(auto_error=False, scheme_name="Device session", description="A device's session token")
_operator_scheme = HTTPBearer(auto_error=False, scheme_name="Operator", description="An operator's API key")

Credentials = HTTPAuthorizationCredentials | None


async def current_context(request: Request) -> Context:
    """The orchestrator that serves this request. Asynchronous, for a plain function would cost a thread's turn."""
    context = request.app.state.context
    assert isinstance(context, Context)  # noqa: S101 - the application puts it there before it serves
    return context


ContextOf = Annotated[Context, Depends(current_context)]


async def current_device(
    context: ContextOf, credentials: Annotated[Credentials, Security(_device_scheme)]
) -> DeviceRecord:
    """The device whose session token came with the request."""
    token = _bearer(credentials)
    return await context.database.read(lambda tx: sessions.device_of(tx, token, context.clock()))


async def session_token(credentials: Annotated[Credentials, Security(_device_scheme)]) -> str:
    """The session token that came with the request, which nobody has looked at yet."""
    return _bearer(credentials)


async def current_operator(context: ContextOf, credentials: Annotated[Credentials, Security(_operator_scheme)]) -> str:
    """The good API key that came with the request."""
    api_key = _bearer(credentials)
    await context.database.read(lambda tx: sessions.operator_of(tx, api_key))
    return api_key


async def anybody_known(context: ContextOf, credentials: Annotated[Credentials, Security(_device_scheme)]) -> None:
    """Refuse a request that neither a device nor an operator makes, unless resources are everybody's."""
    if context.settings.public_resources:
        return
    if _bearer(credentials).startswith(API_KEY_PREFIX):
        await current_operator(context, credentials)
    else:
        await current_device(context, credentials)


Device = Annotated[DeviceRecord, Depends(current_device)]
SessionToken = Annotated[str, Depends(session_token)]
Operator = Depends(current_operator)
OperatorKey = Annotated[str, Depends(current_operator)]
AnybodyKnown = Depends(anybody_known)


def _bearer(credentials: Credentials) -> str:
    if credentials is None:
        raise UnauthenticatedError("the request has no `Authorization: Bearer …` header")
    return credentials.credentials
