"""What every use case stands on."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from orchestrator.db.database import Database
from orchestrator.settings import Settings
from orchestrator.signing import PlanSigner
from orchestrator.storage import FolderStore


@dataclass(frozen=True)
class Context:
    """One orchestrator's parts.

    Attributes:
        clock: UTC seconds since 1970.
        wake: set when a round may have something due, so that nobody waits for the next tick.
    """

    settings: Settings
    database: Database
    store: FolderStore
    signer: PlanSigner
    clock: Callable[[], float]
    wake: asyncio.Event = field(default_factory=asyncio.Event)
