"""Operators' API keys: made with a name, renamed, revoked; one good key is always left."""

from sqlalchemy import Connection

from orchestrator.db import queries
from orchestrator.errors import ConflictError, NotFoundError
from orchestrator.signing import new_secret, secret_sha256
from wire.operator_messages import ID_CHARACTERS, ApiKey, ApiKeyView

API_KEY_PREFIX = "fdo_"


def make_api_key(tx: Connection, name: str, now: float) -> ApiKey:
    """Another operator API key. Its text exists in the answer alone."""
    api_key = new_secret(API_KEY_PREFIX)
    queries.operators.add_api_key(tx, secret_sha256(api_key), name, now)
    return ApiKey(secret_sha256(api_key)[:ID_CHARACTERS], name, api_key)


def rename(tx: Connection, key_id: str, name: str) -> ApiKeyView:
    """Give a key another name.

    Raises:
        NotFoundError: there is none of this id.
    """
    queries.operators.rename_api_key(tx, key_id, name)
    return _existing(tx, key_id)


def revoke(tx: Connection, key_id: str, now: float) -> ApiKeyView:
    """End a key; one that was ended before stays as it is.

    Raises:
        NotFoundError: there is none of this id.
        ConflictError: it is the last good one.
    """
    key = _existing(tx, key_id)
    if key.revoked_at is None and queries.operators.count_good_api_keys(tx) == 1:
        raise ConflictError(f"{key.name!r} is the only API key that is good; make another first")
    queries.operators.revoke_api_key(tx, key_id, now)
    return _existing(tx, key_id)


def _existing(tx: Connection, key_id: str) -> ApiKeyView:
    key = queries.operators.api_key_by_id(tx, key_id)
    if key is None:
        raise NotFoundError(f"there is no API key with the id {key_id!r}")
    return key
