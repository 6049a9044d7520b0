"""What every use case stands on."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import IO, TypeVar

from orchestrator.db.database import Database
from orchestrator.settings import Settings
from orchestrator.signing import PlanSigner
from orchestrator.storage.protocol import Store

T = TypeVar("T")

# Many, for they wait: flushes to one disk are merged, and a slow object store holds up nobody else.
_STORE_THREADS = 32


@dataclass(frozen=True)
class Context:
    """One orchestrator's parts.

    Attributes:
        clock: UTC seconds since 1970.
        data_dir_lock: held as long as the parts are used; closing it lets another process have the folder.
        store: to be called in its threads only; see `in_store_thread`.
        wake: set when a round may have something due, so that nobody waits for the next tick.
    """

    settings: Settings
    database: Database
    store: Store
    signer: PlanSigner
    clock: Callable[[], float]
    data_dir_lock: IO[bytes]
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    store_threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(_STORE_THREADS, thread_name_prefix="store")
    )

    async def in_store_thread(self, work: Callable[[], T]) -> T:
        """What some work with the store gives, off the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self.store_threads, work)
