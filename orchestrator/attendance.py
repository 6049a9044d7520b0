"""Who came: what check-ins leave behind, kept in memory for a moment and written together.

Most check-ins find no work. Were each to write what it leaves, each would wait for a flush of the disk, for the sake of
a row that may well be lost: a device says of itself what it is whenever it comes, and the estimate of how many there
are fades by itself. No report rests on it, and a round only asks it whether anybody else is there.
"""

import asyncio
import logging
import math
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection

from orchestrator.db import queries
from orchestrator.db.database import Database
from orchestrator.db.records import DeviceRecord, Visit
from orchestrator.domain import pacing
from orchestrator.domain.pacing import Traffic
from orchestrator.logs import Trouble
from wire.messages import CheckIn

log = logging.getLogger(__name__)

WRITTEN_EVERY_SECONDS = 1.0


@dataclass
class _Counted:
    """A population's traffic with everybody who came, and how long those had been away who are not written yet."""

    traffic: Traffic
    away_seconds: list[float]


class Attendance:
    """Who came to this replica and is not written yet. Only use cases of its database's writer use it."""

    def __init__(self) -> None:
        self._visits: dict[str, Visit] = {}
        self._counted: dict[str, _Counted] = {}
        self._trouble = Trouble(log)

    def count(self, tx: Connection, device: DeviceRecord, now: float) -> Traffic:
        """Count a check-in in its population's traffic, and give that."""
        last = self._visits[device.device_id].at if device.device_id in self._visits else device.last_seen_at
        away = math.inf if last is None else now - last
        counted = self._counted.get(device.population)
        if counted is None:
            counted = self._counted[device.population] = _Counted(
                queries.traffic.of_population(tx, device.population, now), []
            )
        counted.traffic = pacing.counted(counted.traffic, away, now)
        counted.away_seconds.append(away)
        return counted.traffic

    def note(self, device: DeviceRecord, message: CheckIn, now: float, expected_by: float) -> None:
        """Remember what a device said of itself, and by when it should come again."""
        self._visits[device.device_id] = Visit(device.device_id, message, now, expected_by)

    def write(self, tx: Connection) -> None:
        """Write who came. What cannot be written just now is forgotten."""
        visits, self._visits = self._visits, {}
        counted, self._counted = self._counted, {}
        if not visits:
            return
        now = max(visit.at for visit in visits.values())
        for population, one in counted.items():
            traffic = queries.traffic.of_population(tx, population, now)
            queries.traffic.keep(tx, population, pacing.counted(traffic, np.array(one.away_seconds), now))
        queries.devices.saw(tx, visits.values())

    async def keep_written(self, database: Database) -> None:
        """Write every second whoever came; ends only when it is cancelled, when everybody is written."""
        try:
            while True:
                await asyncio.sleep(WRITTEN_EVERY_SECONDS)
                await self._write(database)
        finally:
            await self._write(database)

    async def _write(self, database: Database) -> None:
        if not self._visits:
            return
        try:
            await database.write(self.write)
        except Exception as error:
            self._trouble.tell("who came in the last second could not be written", error)
