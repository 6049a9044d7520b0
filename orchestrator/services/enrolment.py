"""How a device comes to be known: a one-time token, and a key that it proves it holds."""

import uuid

from sqlalchemy import Connection

from orchestrator.db import queries
from orchestrator.db.records import DeviceRecord
from orchestrator.domain.pacing import FIRST_CHECK_IN_SECONDS
from orchestrator.errors import ConflictError, NotFoundError, RevokedError, UnauthenticatedError
from orchestrator.signing import is_signed, new_secret, read_public_key, secret_sha256
from wire import statements
from wire.messages import Enrolled, Enrolment, PublicKey
from wire.operator_messages import EnrolmentToken, EnrolmentTokenRequest, EnrolmentTokenView, PopulationView

TOKEN_PREFIX = "fde_"  # noqa: S105 - how a token begins, not one


def add_population(tx: Connection, name: str, now: float) -> PopulationView:
    """Make a population.

    Raises:
        ConflictError: there is one of this name.
    """
    if queries.populations.exists(tx, name):
        raise ConflictError(f"there is a population {name!r} already")
    queries.populations.add(tx, name, now)
    return PopulationView(name, 0)


def mint_token(tx: Connection, request: EnrolmentTokenRequest, now: float) -> EnrolmentToken:
    """Make a token with which devices may join a population."""
    if not queries.populations.exists(tx, request.population):
        raise NotFoundError(f"there is no population {request.population!r}; make it first")
    token = new_secret(TOKEN_PREFIX)
    expires_at = now + request.expires_in_seconds
    queries.tokens.add(tx, secret_sha256(token), request.population, request.uses, now, expires_at)
    return EnrolmentToken(token, request.population, request.uses, expires_at)


def revoke_token(tx: Connection, token_id: str, now: float) -> EnrolmentTokenView:
    """End an enrolment token; the devices that it let in stay.

    Raises:
        NotFoundError: there is none of this id.
    """
    queries.tokens.revoke(tx, token_id, now)
    token = queries.tokens.by_id(tx, token_id)
    if token is None:
        raise NotFoundError(f"there is no enrolment token with the id {token_id!r}")
    return token


def proven_key(request: Enrolment) -> bytes:
    """The public key of an enrolment whose signature shows that the device holds the private one.

    Raises:
        UnauthenticatedError: it does not.
    """
    public_key = read_public_key(request.algorithm, request.public_key)
    statement = statements.enrolment(request.token, request.public_key)
    if not is_signed(public_key, statement, request.signature):
        raise UnauthenticatedError("the enrolment's signature is not by the key it brings")
    return public_key


def enrol(tx: Connection, request: Enrolment, public_key: bytes, plan_key: PublicKey, now: float) -> Enrolled:
    """Enrol a device. The same token with the same key again gets the first answer, so that a lost one does no harm.

    Raises:
        UnauthenticatedError: the token is unknown, used up, expired or revoked.
        RevokedError: the device it made was shut out.
    """
    token_sha256 = secret_sha256(request.token)
    device = queries.devices.enrolled_with(tx, token_sha256, public_key)
    if device is None:
        population = queries.tokens.use(tx, token_sha256, now)
        if population is None:
            raise UnauthenticatedError(
                "the enrolment token is unknown, used up, expired or revoked; ask the operator for another"
            )
        device = DeviceRecord(
            device_id=str(uuid.uuid4()),
            population=population,
            algorithm=request.algorithm,
            public_key=public_key,
            enrolled_at=now,
            last_seen_at=None,
            said=None,
        )
        queries.devices.add(tx, device, token_sha256, now + FIRST_CHECK_IN_SECONDS)
    if device.revoked_at is not None:
        raise RevokedError(device.device_id)
    return Enrolled(device.device_id, device.population, (plan_key,))
