"""The web server of one process, which stops in good order.

Told to stop, it goes on listening and answers 503 with `Retry-After` to whatever comes; what it has begun, an upload or
a report, it finishes for as long as the grace lasts. `/readyz` says no from the first moment, so that a balancer sends
nobody any more. A second signal ends it at once.
"""

import asyncio
import math
from types import FrameType

import uvicorn
from fastapi import FastAPI

from orchestrator.context import Context

_LAST_SECONDS = 5


class Server(uvicorn.Server):
    """See the module's description.

    Args:
        grace_seconds: how long it may finish what it has begun.
    """

    def __init__(self, app: FastAPI, context: Context, grace_seconds: float) -> None:
        super().__init__(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=_LAST_SECONDS))
        self._draining = context.draining
        self._grace_seconds = grace_seconds
        self._is_told = False
        self._ends_at = math.inf

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal: the first begins the end, the second is the end."""
        super().handle_exit(sig, frame)
        if not self._is_told:
            self.tell()

    def tell(self) -> None:
        """Say that the server is to stop."""
        self._is_told = True
        self.should_exit = False

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: whether to end now."""
        if self._is_told:
            now = asyncio.get_running_loop().time()
            if not self._draining.is_set():
                self._draining.set()
                self._ends_at = now + self._grace_seconds
            elif not self.server_state.tasks or now >= self._ends_at:
                self.should_exit = True
        return await super().on_tick(counter)
