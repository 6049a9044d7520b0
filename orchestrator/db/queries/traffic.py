"""How the devices of a population come."""

from dataclasses import asdict

from sqlalchemy import Connection, bindparam, insert, select, update

from orchestrator.db import tables as t
from orchestrator.domain.pacing import Traffic

# Run at every check-in, so built once.
_OF_POPULATION = select(t.traffic).where(t.traffic.c.population == bindparam("name"))
_UPDATE = update(t.traffic).where(t.traffic.c.population == bindparam("name"))


def of_population(tx: Connection, population: str, now: float) -> Traffic:
    """What was counted so far; nothing, from now on, where nobody has checked in yet."""
    row = tx.execute(_OF_POPULATION, {"name": population}).first()
    if row is None:
        return Traffic(counted_at=now)
    return Traffic(row.counted_at, row.exposure_seconds, row.check_ins, row.device_seconds)


def keep(tx: Connection, population: str, traffic: Traffic) -> None:
    """Remember what was counted."""
    values = asdict(traffic)
    if tx.execute(_UPDATE, {"name": population, **values}).rowcount == 0:
        tx.execute(insert(t.traffic).values(population=population, **values))
