"""Who a device is: its key, and the record of its enrolment with the plan keys that it trusts from then on.

The key is made once and never leaves the state directory. A device signs with it where it matters: its enrolment, its
sessions and its updates.
"""

from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from device_sdk import files
from device_sdk.errors import StateError
from device_sdk.state_dir import StateDir
from wire import codec
from wire.errors import MessageError
from wire.messages import PublicKey
from wire.statements import to_base64


@dataclass(frozen=True)
class EnrolmentRecord:
    """What a device learnt when it enrolled.

    Attributes:
        url: the orchestrator's.
        plan_keys: the only keys whose plans this device runs.
        attributes: what it tells about itself in every check-in.
    """

    url: str
    device_id: str
    population: str
    plan_keys: tuple[PublicKey, ...]
    attributes: dict[str, str] = field(default_factory=dict)


class DeviceKey:
    """An Ed25519 key; signatures and the public half are base64, as the messages carry them."""

    def __init__(self, private_key: Ed25519PrivateKey) -> None:
        self._private_key = private_key

    @property
    def public_key(self) -> str:
        """The public half."""
        return to_base64(self._private_key.public_key().public_bytes_raw())

    def sign(self, statement: bytes) -> str:
        """The signature over a statement of `wire.statements`."""
        return to_base64(self._private_key.sign(statement))


@dataclass(frozen=True)
class Identity:
    """An enrolled device."""

    key: DeviceKey
    record: EnrolmentRecord


def load(state: StateDir) -> Identity:
    """The identity that a state directory holds.

    Raises:
        StateError: it is not enrolled, or a file cannot be read.
    """
    if not state.enrolment.exists():
        raise StateError(f"{state.path} is not enrolled; run: fedelta-device enrol --url URL --token TOKEN")
    try:
        record = codec.loads(EnrolmentRecord, state.enrolment.read_bytes())
    except (MessageError, OSError) as error:
        raise StateError(
            f"cannot read {state.enrolment}: {error}; restore it, or enrol anew in another --state-dir"
        ) from error
    return Identity(_read_key(state.key), record)


def key_of(state: StateDir) -> DeviceKey:
    """The key of a state directory, made and stored at the first call.

    Raises:
        StateError: there is one that cannot be read, or none can be written.
    """
    if not state.key.exists():
        files.write_durably(state.key, _pem(Ed25519PrivateKey.generate()))
    return _read_key(state.key)


def store_record(state: StateDir, record: EnrolmentRecord) -> None:
    """Enrol a state directory, durably."""
    files.write_durably(state.enrolment, codec.dumps(record))


def _pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _read_key(path: Path) -> DeviceKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise StateError(f"cannot read the device's key {path}: {error}; restore it, or enrol anew") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise StateError(f"expected an Ed25519 key in {path}, found {type(key).__name__}; restore it, or enrol anew")
    return DeviceKey(key)
