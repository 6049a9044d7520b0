"""What surrounds every request: how long its answer took, a span where traces are on, and a no while stopping."""

import asyncio
import time
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.api.problems import problem
from orchestrator.metrics import Metrics
from wire import routes
from wire.errors import ErrorCode

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_UNKNOWN = "unknown"
_STOPPING_SECONDS = 2.0
_ANSWERED_TO_THE_END = (routes.HEALTH, routes.READY, routes.METRICS)


class Timed:
    """Counts every answer and the seconds until it began, by the route's template: never by a path itself."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, and time it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()

        async def send_timed(message: Message) -> None:
            if message["type"] == "http.response.start":
                seconds = time.perf_counter() - began
                self._metrics.observe_request(_method_of(scope), route_of(scope), message["status"], seconds)
            await send(message)

        await self._app(scope, receive, send_timed)


class Draining:
    """Refuses what comes when the server is to stop, so that a balancer or a device goes elsewhere or comes again."""

    def __init__(self, app: ASGIApp, draining: asyncio.Event) -> None:
        self._app = app
        self._draining = draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or refuse it."""
        if scope["type"] != "http" or not self._draining.is_set() or scope["path"] in _ANSWERED_TO_THE_END:
            await self._app(scope, receive, send)
            return
        refusal = problem(ErrorCode.UNAVAILABLE, "this server is stopping; try again", _STOPPING_SECONDS)
        refusal.headers["Connection"] = "close"
        await refusal(scope, receive, send)


class Traced:
    """Makes a span of every request, within the caller's trace where it names one."""

    def __init__(self, app: ASGIApp, provider: "TracerProvider") -> None:
        from opentelemetry.propagate import extract

        self._app = app
        self._extract = extract
        self._tracer = provider.get_tracer("fedelta")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request within a span."""
        from opentelemetry.trace import SpanKind, Status, StatusCode

        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        method = _method_of(scope)
        with self._tracer.start_as_current_span(method, self._extract(carrier), kind=SpanKind.SERVER) as span:
            span.set_attribute("http.request.method", method)
            span.set_attribute("url.path", scope["path"])

            async def send_noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.update_name(f"{method} {route_of(scope)}")
                    span.set_attribute("http.route", route_of(scope))
                    span.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= 500:  # noqa: PLR2004 - our fault, by HTTP
                        span.set_status(Status(StatusCode.ERROR))
                await send(message)

            await self._app(scope, receive, send_noted)


def route_of(scope: Scope) -> str:
    """The template of the route that answers a request, such as `/v1/tasks/{task_id}`."""
    return getattr(scope.get("route"), "path", None) or _UNKNOWN


def _method_of(scope: Scope) -> str:
    # Anybody may send any method; only known ones become labels.
    method = str(scope["method"])
    return method if method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS") else _UNKNOWN
