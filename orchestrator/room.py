"""Room in memory that whoever needs much of it takes a part of, first come, first served."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Room:
    """So many bytes; of one event loop.

    Args:
        size_bytes: what more than one may take together. Who needs more than all of it gets all of it, alone.
    """

    def __init__(self, size_bytes: int) -> None:
        self._size_bytes = size_bytes
        self._free_bytes = size_bytes
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def taken(self, size_bytes: int) -> AsyncIterator[None]:
        """Wait until there is room, and have it until the end of the block."""
        part = min(size_bytes, self._size_bytes)
        await self._take(part)
        try:
            yield
        finally:
            self._give_back(part)

    async def _take(self, part: int) -> None:
        if not self._waiting and part <= self._free_bytes:
            self._free_bytes -= part
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((part, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._give_back(0)  # perhaps it stood before others that have room
            else:
                self._give_back(part)
            raise

    def _give_back(self, part: int) -> None:
        self._free_bytes += part
        while self._waiting and (self._waiting[0][0] <= self._free_bytes or self._waiting[0][1].cancelled()):
            needed, turn = self._waiting.popleft()
            if not turn.cancelled():
                self._free_bytes -= needed
                turn.set_result(None)
