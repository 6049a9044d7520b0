"""How the devices of a population come."""

from sqlalchemy import Connection, insert, select, update

from orchestrator.db import tables as t
from orchestrator.domain.pacing import Traffic


def of_population(tx: Connection, population: str, now: float) -> Traffic:
    """What was counted so far; nothing, from now on, where nobody has checked in yet."""
    row = tx.execute(select(t.traffic).where(t.traffic.c.population == population)).first()
    if row is None:
        return Traffic(counted_at=now)
    return Traffic(row.counted_at, row.exposure_seconds, row.check_ins, row.device_seconds)


def keep(tx: Connection, population: str, traffic: Traffic) -> None:
    """Remember what was counted."""
    values = {
        "counted_at": traffic.counted_at,
        "exposure_seconds": traffic.exposure_seconds,
        "check_ins": traffic.check_ins,
        "device_seconds": traffic.device_seconds,
    }
    if tx.execute(update(t.traffic).where(t.traffic.c.population == population).values(**values)).rowcount == 0:
        tx.execute(insert(t.traffic).values(population=population, **values))
