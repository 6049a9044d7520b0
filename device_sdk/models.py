"""The model that operators released for a device's population: fetched, checked, and handed out to predict with.

It is trusted as a plan is: under a key that the device pinned when it enrolled, for its own population. Its bytes have
the digest that was signed, or they are not handed out.
"""

from collections.abc import Callable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from device_sdk.errors import DeclinedError
from device_sdk.identity import EnrolmentRecord, Identity
from device_sdk.resources import ResourceCache
from device_sdk.session import DeviceSession
from device_sdk.state_dir import StateDir
from device_sdk.transport import Transport
from wire import statements
from wire.errors import MessageError
from wire.messages import ReleasedModel, Resource


def fetch_model(state: StateDir, identity: Identity, transport: Transport, label: str) -> tuple[ReleasedModel, bytes]:
    """The model that has a label in the device's population; open it with `plans.inference.Model`.

    Raises:
        DeclinedError: it is not under a key that this device trusts, or not for its population.
        RefusedError: no checkpoint of the population has the label, or it is of a plan that cannot predict.
        TransportError: it did not come, or not whole.
    """
    session = DeviceSession(identity, transport)

    def fetch(resource: Resource, offset: int, write: Callable[[bytes], object]) -> None:
        session.call(lambda token: transport.fetch(token, resource, offset, write))

    released = session.call(lambda token: transport.released(token, label))
    problem = _problem(released, label, identity.record)
    if problem is not None:
        raise DeclinedError(f"the model is not trusted: {problem}")
    return released, ResourceCache(state.cache, fetch).read(released.model)


def _problem(released: ReleasedModel, label: str, record: EnrolmentRecord) -> str | None:
    if (released.label, released.population) != (label, record.population):
        return f"it is {released.label!r} of {released.population!r}, not {label!r} of {record.population!r}"
    keys = {key.key_id: key for key in record.plan_keys}
    key = keys.get(released.key_id)
    if key is None or not released.algorithm == key.algorithm == statements.ED25519:
        return f"its key {released.key_id!r} is none of those pinned at enrolment: {', '.join(keys) or 'none'}"
    try:
        public_key = Ed25519PublicKey.from_public_bytes(statements.from_base64(key.key, "key"))
        public_key.verify(statements.from_base64(released.signature, "signature"), statements.model(released))
    except (InvalidSignature, MessageError, ValueError):
        return f"its signature is not one of the key {released.key_id!r}"
    return None
