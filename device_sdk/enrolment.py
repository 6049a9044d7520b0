"""How a device joins: a one-time token and a new key become a device id, a population and the plan keys to trust.

The key is on the disk before the call, so that a lost answer costs nothing: the same token with the same key gets the
same answer. The answer is on the disk before success is reported.
"""

from collections.abc import Mapping

from device_sdk import identity
from device_sdk.errors import StateError
from device_sdk.identity import EnrolmentRecord
from device_sdk.state_dir import StateDir
from device_sdk.transport import Transport
from wire import statements
from wire.messages import Enrolment


def enrol(
    state: StateDir, transport: Transport, *, url: str, token: str, attributes: Mapping[str, str]
) -> EnrolmentRecord:
    """Enrol a state directory with the orchestrator at `url`, which `transport` speaks to.

    Raises:
        StateError: it is enrolled already, or cannot be written.
        RefusedError: the token is unknown, used by another device, or expired.
        TransportError: no answer; the same call again is safe.
    """
    if state.enrolment.exists():
        record = identity.load(state).record
        raise StateError(
            f"{state.path} is enrolled already, as {record.device_id} of {record.population!r} at {record.url}; "
            "use another --state-dir for another device"
        )
    key = identity.key_of(state)
    signature = key.sign(statements.enrolment(token, key.public_key))
    enrolled = transport.enrol(Enrolment(token, statements.ED25519, key.public_key, signature))
    record = EnrolmentRecord(
        url, enrolled.device_id, enrolled.population, enrolled.plan_keys, dict(sorted(attributes.items()))
    )
    identity.store_record(state, record)
    return record
