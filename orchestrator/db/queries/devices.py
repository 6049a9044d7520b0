"""Enrolled devices."""

from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, insert, select, update

from orchestrator.db import rows
from orchestrator.db import tables as t
from orchestrator.db.queries import paging
from orchestrator.db.records import DeviceRecord, Visit
from orchestrator.domain.paging import Page, PageRequest
from wire import codec

_ORDER = paging.Order((t.devices.c.enrolled_at, t.devices.c.device_id), is_descending=True)
_SAW = update(t.devices).where(t.devices.c.device_id == bindparam("device"))


def add(tx: Connection, device: DeviceRecord, token_sha256: str, expected_by: float) -> None:
    """Enrol a device, which should have checked in by then."""
    tx.execute(
        insert(t.devices).values(
            device_id=device.device_id,
            population=device.population,
            algorithm=device.algorithm,
            public_key=device.public_key,
            token_sha256=token_sha256,
            enrolled_at=device.enrolled_at,
            expected_by=expected_by,
        )
    )


def by_id(tx: Connection, device_id: str) -> DeviceRecord | None:
    """The device of this id."""
    row = tx.execute(select(t.devices).where(t.devices.c.device_id == device_id)).first()
    return None if row is None else rows.device(row)


def enrolled_with(tx: Connection, token_sha256: str, public_key: bytes) -> DeviceRecord | None:
    """The device that this token and this key have already made."""
    query = (
        select(t.devices).where(t.devices.c.token_sha256 == token_sha256).where(t.devices.c.public_key == public_key)
    )
    row = tx.execute(query).first()
    return None if row is None else rows.device(row)


def newest(
    tx: Connection, request: PageRequest, *, population: str | None = None, is_revoked: bool | None = None
) -> Page[DeviceRecord]:
    """Devices, newest first, of one population or of all, revoked or not or both."""
    query = select(t.devices)
    if population is not None:
        query = query.where(t.devices.c.population == population)
    if is_revoked is not None:
        query = query.where(t.devices.c.revoked_at.is_not(None) if is_revoked else t.devices.c.revoked_at.is_(None))
    return paging.page(tx, query, _ORDER, request, rows.device)


def any_besides(tx: Connection, population: str, round_id: str, now: float) -> bool:
    """Whether a device is there that a round has not had: one that is still expected to check in."""
    had = (
        select(t.assignments.c.assignment_id)
        .where(t.assignments.c.round_id == round_id)
        .where(t.assignments.c.device_id == t.devices.c.device_id)
        .exists()
    )
    counted = select(t.assignments.c.device_id).where(t.assignments.c.counted_in == round_id)
    query = select(t.devices.c.device_id).where(t.devices.c.population == population)
    query = query.where(t.devices.c.device_id.not_in(counted)).where(t.devices.c.revoked_at.is_(None))
    return tx.execute(query.where(t.devices.c.expected_by >= now).where(~had).limit(1)).first() is not None


def saw(tx: Connection, visits: Iterable[Visit]) -> None:
    """Remember of some devices when they came, what they said of themselves, and by when they should come again."""
    values = [
        {
            "device": visit.device_id,
            "last_seen_at": visit.at,
            "check_in": codec.to_json(visit.said),
            "expected_by": visit.expected_by,
        }
        for visit in visits
    ]
    tx.execute(_SAW, values)


def revoke(tx: Connection, device_id: str, now: float) -> bool:
    """Shut a device out; False where it was before."""
    good = t.devices.c.revoked_at.is_(None)
    shut = tx.execute(update(t.devices).where(t.devices.c.device_id == device_id).where(good).values(revoked_at=now))
    return shut.rowcount == 1
