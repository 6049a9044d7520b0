"""What a server makes for itself the first time it starts."""

from dataclasses import dataclass

from sqlalchemy import Connection

from orchestrator.db import queries
from orchestrator.errors import DataFolderError
from orchestrator.services import enrolment, operators
from wire.operator_messages import EnrolmentTokenRequest

DEFAULT_POPULATION = "default"


@dataclass(frozen=True)
class FirstSecrets:
    """The secrets that are shown once."""

    api_key: str
    enrolment_token: str
    population: str


def make_first_secrets(tx: Connection, key_id: str, now: float) -> FirstSecrets | None:
    """An operator key, the `default` population and a token to join it; None where this is not the first start.

    Raises:
        DataFolderError: devices of this database have pinned another plan-signing key than this one.
    """
    pinned = queries.operators.pinned_key(tx)
    if pinned not in (None, key_id):
        raise DataFolderError(
            f"this database's plans are signed with the key {pinned}, found the key {key_id}; "
            "give every replica the first one's plan-signing-key.pem as --signing-key"
        )
    if pinned is None:
        queries.operators.pin_key(tx, key_id, now)
    if queries.operators.any_api_key(tx):
        return None
    api_key = operators.make_api_key(tx, "first", now).api_key
    queries.populations.add(tx, DEFAULT_POPULATION, now)
    token = enrolment.mint_token(tx, EnrolmentTokenRequest(DEFAULT_POPULATION), now)
    return FirstSecrets(api_key, token.token, DEFAULT_POPULATION)
