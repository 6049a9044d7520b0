"""The exact bytes that signatures are made over.

Each statement starts with a line that says what it is for, so that a signature for one purpose is worth nothing for
another; the other lines are `name: value`. Keys and signatures are base64 text and name their algorithm.
"""

import base64
from collections.abc import Mapping

from wire import codec
from wire.errors import MessageError
from wire.messages import PlanStatement, ReleasedModel

ED25519 = "ed25519"


def enrolment(token: str, public_key: str) -> bytes:
    """What a device signs to enrol: that it holds the private half of the key it brings."""
    return _statement("fedelta-enrolment-v1", {"token": token, "public-key": public_key})


def session(device_id: str, challenge: str) -> bytes:
    """What a device signs to earn a session token."""
    return _statement("fedelta-session-v1", {"device": device_id, "challenge": challenge})


def update(assignment_id: str, round_number: int, sha256: str) -> bytes:
    """What a device signs about its update, so that nobody can swap the bytes or the round."""
    fields = {"assignment": assignment_id, "round": str(round_number), "sha256": sha256}
    return _statement("fedelta-update-v1", fields)


def plan(statement: PlanStatement) -> bytes:
    """What an operator signs about a plan: which one, for whom, until when."""
    return b"fedelta-plan-v1\n" + codec.dumps(statement)


def model(released: ReleasedModel) -> bytes:
    """What an operator signs about a released model: which bytes, under which label, for whom."""
    fields = {
        "population": released.population,
        "label": released.label,
        "task": released.task_id,
        "round": str(released.round_number),
        "sha256": released.model.sha256,
        "key": released.key_id,
    }
    return _statement("fedelta-model-v1", fields)


def to_base64(data: bytes) -> str:
    """Standard base64, as it stands in the messages."""
    return base64.b64encode(data).decode()


def from_base64(text: str, path: str) -> bytes:
    """The bytes of some base64 text, or a `MessageError` that names where it stood."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:  # binascii.Error, or a text that is not ASCII
        raise MessageError(path, "base64", repr(text[:40])) from None


def _statement(purpose: str, fields: Mapping[str, str]) -> bytes:
    return "\n".join([purpose, *(f"{name}: {value}" for name, value in fields.items())]).encode()
