"""Challenges, and the session tokens that devices earn with them."""

from sqlalchemy import Connection, bindparam, delete, insert, select

from orchestrator.db import rows
from orchestrator.db import tables as t
from orchestrator.db.records import DeviceRecord

# Run at every request of a device, so built once.
_DEVICE_OF = (
    select(t.devices)
    .join(t.sessions, t.sessions.c.device_id == t.devices.c.device_id)
    .where(t.sessions.c.token_sha256 == bindparam("token"))
    .where(t.sessions.c.expires_at > bindparam("now"))
    .where(t.devices.c.revoked_at.is_(None))
)


def add_challenge(tx: Connection, challenge_sha256: str, device_id: str, now: float, expires_at: float) -> None:
    """Keep the hash of a challenge, and forget those that nobody answered in time."""
    tx.execute(delete(t.challenges).where(t.challenges.c.expires_at <= now))
    values = {"challenge_sha256": challenge_sha256, "device_id": device_id, "expires_at": expires_at}
    tx.execute(insert(t.challenges).values(**values))


def take_challenge(tx: Connection, challenge_sha256: str, device_id: str, now: float) -> bool:
    """Use up a challenge; False where it is unknown, another device's, or too old."""
    taken = tx.execute(
        delete(t.challenges)
        .where(t.challenges.c.challenge_sha256 == challenge_sha256)
        .where(t.challenges.c.device_id == device_id)
        .where(t.challenges.c.expires_at > now)
    )
    return taken.rowcount == 1


def add(tx: Connection, token_sha256: str, device_id: str, now: float, expires_at: float) -> None:
    """Keep the hash of a session token, and forget expired ones."""
    tx.execute(delete(t.sessions).where(t.sessions.c.expires_at <= now))
    tx.execute(insert(t.sessions).values(token_sha256=token_sha256, device_id=device_id, expires_at=expires_at))


def device_of(tx: Connection, token_sha256: str, now: float) -> DeviceRecord | None:
    """The device whose good session token has this hash."""
    row = tx.execute(_DEVICE_OF, {"token": token_sha256, "now": now}).first()
    return None if row is None else rows.device(row)


def end_of_device(tx: Connection, device_id: str) -> None:
    """Forget a device's sessions and challenges."""
    for table in (t.sessions, t.challenges):
        tx.execute(delete(table).where(table.c.device_id == device_id))
