"""The operators' routes for what opens doors: API keys and enrolment tokens."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from orchestrator.api.access import ContextOf, Operator, OperatorKey
from orchestrator.api.exchange import described, read_message, reply
from orchestrator.api.paging import Paging
from orchestrator.api.repeating import IdempotencyKey, make, repeatable
from orchestrator.db import queries
from orchestrator.services import enrolment, operators
from wire import routes
from wire.operator_messages import (
    ApiKey,
    ApiKeyPage,
    ApiKeyRequest,
    ApiKeyView,
    EnrolmentToken,
    EnrolmentTokenPage,
    EnrolmentTokenRequest,
    EnrolmentTokenView,
)

router = APIRouter(tags=["credentials"], dependencies=[Operator])


@router.post(routes.API_KEYS, **described(takes=ApiKeyRequest, gives=ApiKey, status=201))
async def make_api_key(
    request: Request, context: ContextOf, api_key: OperatorKey, key: IdempotencyKey = None
) -> Response:
    """Make another operator API key. It is shown this once."""
    message = await read_message(request, ApiKeyRequest, context.settings)
    return await make(
        context,
        repeatable(request, api_key, key, message),
        lambda tx, now: operators.make_api_key(tx, message.name, now),
    )


@router.get(routes.API_KEYS, **described(gives=ApiKeyPage))
async def list_api_keys(context: ContextOf, paging: Paging) -> Response:
    """Operator API keys, oldest first; revoked ones too."""
    page = await context.database.read(lambda tx: queries.operators.api_keys(tx, paging))
    return reply(ApiKeyPage(page.rows, page.next_cursor))


@router.patch(routes.api_key("{key_id}"), **described(takes=ApiKeyRequest, gives=ApiKeyView))
async def rename_api_key(key_id: str, request: Request, context: ContextOf) -> Response:
    """Give an API key another name."""
    message = await read_message(request, ApiKeyRequest, context.settings)
    return reply(await context.database.write(lambda tx: operators.rename(tx, key_id, message.name)))


@router.post(routes.api_key_revoke("{key_id}"), **described(gives=ApiKeyView))
async def revoke_api_key(key_id: str, context: ContextOf) -> Response:
    """End an API key, at once. The last good one stays."""
    return reply(await context.database.write(lambda tx: operators.revoke(tx, key_id, context.clock())))


@router.post(routes.ENROLMENT_TOKENS, **described(takes=EnrolmentTokenRequest, gives=EnrolmentToken, status=201))
async def mint_token(
    request: Request, context: ContextOf, api_key: OperatorKey, key: IdempotencyKey = None
) -> Response:
    """Make an enrolment token. It is shown this once."""
    message = await read_message(request, EnrolmentTokenRequest, context.settings)
    return await make(
        context,
        repeatable(request, api_key, key, message),
        lambda tx, now: enrolment.mint_token(tx, message, now),
    )


@router.get(routes.ENROLMENT_TOKENS, **described(gives=EnrolmentTokenPage))
async def list_tokens(
    context: ContextOf,
    paging: Paging,
    population: Annotated[str | None, Query(description="Only of this population")] = None,
) -> Response:
    """Enrolment tokens, newest first."""
    page = await context.database.read(lambda tx: queries.tokens.newest(tx, paging, population))
    return reply(EnrolmentTokenPage(page.rows, page.next_cursor))


@router.post(routes.enrolment_token_revoke("{token_id}"), **described(gives=EnrolmentTokenView))
async def revoke_token(token_id: str, context: ContextOf) -> Response:
    """End an enrolment token; the devices that it let in stay."""
    return reply(await context.database.write(lambda tx: enrolment.revoke_token(tx, token_id, context.clock())))
