"""What every use case stands on."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO

from orchestrator.db.database import Database
from orchestrator.metrics import Metrics
from orchestrator.settings import Settings
from orchestrator.signing import PlanSigner
from orchestrator.storage import FolderStore

MOST_EVENT_STREAMS = 200


@dataclass(frozen=True, kw_only=True)
class WorkerContext:
    """What a worker stands on.

    Attributes:
        clock: UTC seconds since 1970.
        wake: set when a round may have something due, so that a worker of this process does not wait for its tick.
        metrics: what this process counts.
    """

    settings: Settings
    database: Database
    store: FolderStore
    clock: Callable[[], float]
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    metrics: Metrics = field(default_factory=Metrics)

    def close(self) -> None:
        """Finish what was asked of the database, and let go of it."""
        self.database.close()


@dataclass(frozen=True, kw_only=True)
class Context(WorkerContext):
    """What the web service stands on.

    Attributes:
        data_dir_lock: held as long as the parts are used; closing it lets another process have the folder.
        draining: set when the server is to stop: it finishes what it has begun, and begins nothing.
        event_streams: so many streams of events are served at once.
    """

    signer: PlanSigner
    data_dir_lock: IO[bytes]
    draining: asyncio.Event = field(default_factory=asyncio.Event)
    event_streams: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_EVENT_STREAMS))

    def close(self) -> None:
        """Finish what was asked of the database, and let go of it and of the folder."""
        super().close()
        self.data_dir_lock.close()
