"""Whether the server lives, and whether it can serve."""

from fastapi import APIRouter, Response

from orchestrator.api.access import ContextOf
from orchestrator.api.exchange import reply
from orchestrator.db import queries
from wire import routes

router = APIRouter(tags=["health"])


@router.get(routes.HEALTH, response_class=Response)
async def alive() -> Response:
    """The process answers."""
    return reply({"status": "alive"})


@router.get(routes.READY, response_class=Response)
async def ready(context: ContextOf) -> Response:
    """The process answers and reaches its database."""
    await context.database.read(queries.operators.any_api_key)
    return reply({"status": "ready"})
