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


@dataclass(frozen=True)
class Context:
    """One orchestrator's parts.

    Attributes:
        clock: UTC seconds since 1970.
        data_dir_lock: held as long as the parts are used; closing it lets another process have the folder.
        wake: set when a round may have something due, so that nobody waits for the next tick.
        draining: set when the server is to stop: it finishes what it has begun, and begins nothing.
        metrics: what this process counts.
        event_streams: so many streams of events are served at once.
    """

    settings: Settings
    database: Database
    store: FolderStore
    signer: PlanSigner
    clock: Callable[[], float]
    data_dir_lock: IO[bytes]
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    draining: asyncio.Event = field(default_factory=asyncio.Event)
    metrics: Metrics = field(default_factory=Metrics)
    event_streams: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_EVENT_STREAMS))
