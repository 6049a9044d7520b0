"""What every use case stands on."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO

from orchestrator.db.database import Database
from orchestrator.settings import Settings
from orchestrator.signing import PlanSigner
from orchestrator.storage import FolderStore


@dataclass(frozen=True, kw_only=True)
class WorkerContext:
    """What a worker stands on.

    Attributes:
        clock: UTC seconds since 1970.
        wake: set when a round may have something due, so that a worker of this process does not wait for its tick.
    """

    settings: Settings
    database: Database
    store: FolderStore
    clock: Callable[[], float]
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    def close(self) -> None:
        """Finish what was asked of the database, and let go of it."""
        self.database.close()


@dataclass(frozen=True, kw_only=True)
class Context(WorkerContext):
    """What the web service stands on.

    Attributes:
        data_dir_lock: held as long as the parts are used; closing it lets another process have the folder.
    """

    signer: PlanSigner
    data_dir_lock: IO[bytes]

    def close(self) -> None:
        """Finish what was asked of the database, and let go of it and of the folder."""
        super().close()
        self.data_dir_lock.close()
