"""A device's session: the bearer token, earned by signing a challenge, kept in memory only."""

from collections.abc import Callable
from typing import TypeVar

from device_sdk.errors import RefusedError
from device_sdk.identity import Identity
from device_sdk.transport import Transport
from wire import statements
from wire.errors import ErrorCode
from wire.messages import SessionRequest

T = TypeVar("T")


class DeviceSession:
    """Makes calls that need a token; an orchestrator that knows the token no more gets a new proof, once a call."""

    def __init__(self, identity: Identity, transport: Transport) -> None:
        self._identity = identity
        self._transport = transport
        self._token: str | None = None

    def call(self, request: Callable[[str], T]) -> T:
        """The answer to `request(token)`.

        Raises:
            RefusedError: the call was refused, or the device itself.
            TransportError: no answer.
        """
        token = self._token or self._earn()
        try:
            return request(token)
        except RefusedError as error:
            if error.code != ErrorCode.UNAUTHENTICATED:
                raise
        return request(self._earn())

    def _earn(self) -> str:
        self._token = None
        device_id = self._identity.record.device_id
        challenge = self._transport.challenge(device_id).challenge
        signature = self._identity.key.sign(statements.session(device_id, challenge))
        session = self._transport.open_session(device_id, SessionRequest(challenge, signature))
        self._token = session.token
        return session.token
