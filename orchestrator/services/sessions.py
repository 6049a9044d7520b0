"""How callers prove who they are: devices earn session tokens with their key, operators hold API keys."""

from sqlalchemy import Connection

from orchestrator.db import queries
from orchestrator.db.records import DeviceRecord
from orchestrator.errors import NotFoundError, RevokedError, UnauthenticatedError
from orchestrator.signing import is_signed, new_secret, secret_sha256
from wire import statements
from wire.errors import ErrorCode
from wire.messages import Challenge, Session, SessionRequest
from wire.operator_messages import ApiKeyView

SESSION_PREFIX = "fds_"


def challenge(tx: Connection, device_id: str, lifetime_seconds: float, now: float) -> Challenge:
    """Random text for a device to sign."""
    _known_device(tx, device_id)
    text = new_secret("")
    queries.sessions.add_challenge(tx, secret_sha256(text), device_id, now, now + lifetime_seconds)
    return Challenge(text, lifetime_seconds)


def open_session(
    tx: Connection, device_id: str, request: SessionRequest, lifetime_seconds: float, now: float
) -> Session:
    """A session token for a signed challenge, which is used up by it.

    Raises:
        UnauthenticatedError: the challenge is not good any more, or the signature is not the device's.
    """
    device = _known_device(tx, device_id)
    if not queries.sessions.take_challenge(tx, secret_sha256(request.challenge), device_id, now):
        raise UnauthenticatedError("the challenge is unknown, used or too old; ask for another")
    if not is_signed(device.public_key, statements.session(device_id, request.challenge), request.signature):
        raise UnauthenticatedError("the challenge's signature is not by this device's key")
    token = new_secret(SESSION_PREFIX)
    queries.sessions.add(tx, secret_sha256(token), device_id, now, now + lifetime_seconds)
    return Session(token, lifetime_seconds)


def device_of(tx: Connection, token: str, now: float) -> DeviceRecord:
    """The device that a session token belongs to.

    Raises:
        UnauthenticatedError: the token is not good.
    """
    device = queries.sessions.device_of(tx, secret_sha256(token), now)
    if device is None:
        raise UnauthenticatedError("the session token is unknown or expired; sign a new challenge")
    return device


def operator_of(tx: Connection, api_key: str) -> ApiKeyView:
    """The operator key that this is.

    Raises:
        UnauthenticatedError: the key is unknown or revoked.
    """
    known = queries.operators.api_key_of(tx, secret_sha256(api_key))
    if known is None:
        raise UnauthenticatedError("the API key is unknown or revoked")
    return known


def _known_device(tx: Connection, device_id: str) -> DeviceRecord:
    device = queries.devices.by_id(tx, device_id)
    if device is None:
        raise NotFoundError(f"there is no device {device_id!r}; enrol first", ErrorCode.UNKNOWN_DEVICE)
    if device.revoked_at is not None:
        raise RevokedError(device_id)
    return device
