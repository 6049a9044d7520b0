"""Whether the server lives, whether it can serve, and what it counts."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response

from orchestrator import metrics
from orchestrator.api.access import ContextOf, Operator
from orchestrator.api.exchange import REFUSALS, reply
from orchestrator.db import queries
from orchestrator.errors import UnavailableError
from wire import routes

router = APIRouter(tags=["health"])

_EXPOSITION: dict[int | str, dict[str, Any]] = {
    200: {"description": "Prometheus's text format", "content": {metrics.MEDIA_TYPE: {}}}
}


@router.get(routes.HEALTH, response_class=Response)
async def alive() -> Response:
    """The process answers."""
    return reply({"status": "alive"})


@router.get(routes.READY, response_class=Response, responses=REFUSALS)
async def ready(request: Request, context: ContextOf) -> Response:
    """The process answers, reaches its database and its store, and its worker works; it is not about to stop."""
    if context.draining.is_set():
        raise UnavailableError("this server is stopping")
    worker = getattr(request.app.state, "worker", None)
    if worker is not None and worker.done():
        raise UnavailableError("this server's worker has ended; restart it")
    await context.database.read(queries.operators.any_api_key)
    await context.in_store_thread(context.store.check)
    return reply({"status": "ready"})


@router.get(routes.METRICS, dependencies=[Operator], response_class=Response, responses=_EXPOSITION | REFUSALS)
async def measured(context: ContextOf) -> Response:
    """What this process counts and what the database knows, for Prometheus."""
    figures = await context.database.read(queries.figures.read)
    text = await asyncio.to_thread(context.metrics.exposition, figures)
    return Response(text, headers={"Content-Type": metrics.MEDIA_TYPE})
