"""What every use case stands on."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import IO, TypeVar

from orchestrator.attendance import Attendance
from orchestrator.db.database import Database
from orchestrator.metrics import Metrics
from orchestrator.room import Room
from orchestrator.settings import Settings
from orchestrator.signing import PlanSigner
from orchestrator.storage.protocol import Store

T = TypeVar("T")

# Many, for they wait: flushes to one disk are merged, and a slow object store holds up nobody else.
_STORE_THREADS = 32

# For whole updates that are checked: so much, however large a model is and however many report at once.
_CHECKED_BYTES = 16 << 20

MOST_EVENT_STREAMS = 200


@dataclass(frozen=True, kw_only=True)
class WorkerContext:
    """What a worker stands on.

    Attributes:
        clock: UTC seconds since 1970.
        store: to be called in its threads only; see `in_store_thread`.
        wake: set when a round may have something due, so that a worker of this process does not wait for its tick.
        metrics: what this process counts.
    """

    settings: Settings
    database: Database
    store: Store
    clock: Callable[[], float]
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    metrics: Metrics = field(default_factory=Metrics)
    store_threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(_STORE_THREADS, thread_name_prefix="store")
    )

    async def in_store_thread(self, work: Callable[[], T]) -> T:
        """What some work with the store gives, off the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self.store_threads, work)

    def close(self) -> None:
        """Finish what was asked of the store and the database, and let go of them."""
        self.store_threads.shutdown()
        self.database.close()


@dataclass(frozen=True, kw_only=True)
class Context(WorkerContext):
    """What the web service stands on.

    Attributes:
        attendance: who came and is not written yet.
        data_dir_lock: held as long as the parts are used; closing it lets another process have the folder.
        draining: set when the server is to stop: it finishes what it has begun, and begins nothing.
        event_streams: so many streams of events are served at once.
        checking: room for the updates that are in memory whole.
    """

    signer: PlanSigner
    attendance: Attendance = field(default_factory=Attendance)
    data_dir_lock: IO[bytes]
    draining: asyncio.Event = field(default_factory=asyncio.Event)
    checking: Room = field(default_factory=lambda: Room(_CHECKED_BYTES))
    event_streams: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_EVENT_STREAMS))

    def close(self) -> None:
        """Finish what was asked, and let go of everything and of the folder."""
        super().close()
        self.data_dir_lock.close()
