"""Keeps the store small: looks for what nothing needs any more, as `services.collecting` says.

Several replicas may do it at once; each look is bounded, and what it cannot do now it does later.
"""

import asyncio
import logging
import time

from orchestrator.context import WorkerContext
from orchestrator.logs import Trouble
from orchestrator.services import collecting

log = logging.getLogger(__name__)


class Collector:
    """One loop; `run` ends only when it is cancelled."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._next_look = 0.0
        self._trouble = Trouble(log)

    async def run(self) -> None:
        """Delete updates soon after their round has ended, and go through everything from time to time."""
        while True:
            try:
                await self._pass()
            except Exception as error:
                # A store that is down or a busy database passes; what is too much waits.
                self._trouble.tell("the store could not be tidied; trying again", error)
            await asyncio.sleep(self._context.settings.tick_seconds)

    async def _pass(self) -> None:
        await collecting.delete_updates_of_ended_rounds(self._context)
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + self._context.settings.collect_seconds
        await collecting.delete_strays(self._context)
        if deleted := await collecting.collect_blobs(self._context):
            log.info("deleted %d blobs that nothing needs", deleted)
