"""Keys: the one that signs plans, and checking what devices sign."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from orchestrator.errors import DataFolderError, InvalidRequestError
from orchestrator.storage.durable import write_durably
from wire import statements
from wire.messages import PlanStatement, PublicKey, ReleasedModel, Resource, SignedPlan

_PEM = serialization.Encoding.PEM
_RAW = serialization.Encoding.Raw


class PlanSigner:
    """Signs plans with the orchestrator's own Ed25519 key. Devices pin its public half when they enrol."""

    def __init__(self, private_key: Ed25519PrivateKey) -> None:
        self._private_key = private_key
        raw = private_key.public_key().public_bytes(_RAW, serialization.PublicFormat.Raw)
        key_id = hashlib.sha256(raw).hexdigest()[:16]
        self.public_key = PublicKey(key_id, statements.ED25519, statements.to_base64(raw))

    def sign(self, plan: Resource, *, task_id: str, population: str, version: int, expires: int) -> SignedPlan:
        """The plan with a statement that lets one population run it for one task until a moment."""
        statement = PlanStatement(
            plan_sha256=plan.sha256,
            task_id=task_id,
            population=population,
            version=version,
            expires=expires,
            key_id=self.public_key.key_id,
            algorithm=self.public_key.algorithm,
        )
        signature = self._private_key.sign(statements.plan(statement))
        return SignedPlan(plan, statement, statements.to_base64(signature))

    def release(self, unsigned: ReleasedModel) -> ReleasedModel:
        """A released model under this key's signature."""
        named = replace(unsigned, key_id=self.public_key.key_id, algorithm=self.public_key.algorithm)
        return replace(named, signature=statements.to_base64(self._private_key.sign(statements.model(named))))


def create_key(path: Path) -> None:
    """Make a plan-signing key, which only its owner may read."""
    private = Ed25519PrivateKey.generate()
    write_durably(path, private.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


def load_signer(path: Path) -> PlanSigner:
    """The signer whose private key is in this file.

    Raises:
        DataFolderError: it is missing, or not such a key. A new one would help nobody: devices have pinned the old.
    """
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (FileNotFoundError, ValueError) as error:
        raise DataFolderError(
            f"the plan-signing key {path} cannot be read: {error}; restore it from a backup"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise DataFolderError(f"{path} holds a {type(key).__name__}, expected an Ed25519 key; restore it from a backup")
    return PlanSigner(key)


def read_public_key(algorithm: str, text: str) -> bytes:
    """The raw bytes of a device's public key.

    Raises:
        InvalidRequestError: another algorithm than Ed25519, or not such a key.
    """
    if algorithm != statements.ED25519:
        raise InvalidRequestError(f"the key's algorithm is {algorithm!r}; this server takes {statements.ED25519!r}")
    raw = statements.from_base64(text, "$.public_key")
    try:
        Ed25519PublicKey.from_public_bytes(raw)
    except ValueError:
        raise InvalidRequestError(f"public_key holds {len(raw)} bytes, which are not an Ed25519 key of 32") from None
    return raw


def is_signed(public_key: bytes, statement: bytes, signature: str) -> bool:
    """Whether a device's key made this signature over this statement."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(
            statements.from_base64(signature, "$.signature"), statement
        )
    except InvalidSignature:
        return False
    return True


def new_secret(prefix: str) -> str:
    """A fresh secret of 256 random bits, with a prefix by which people and scanners recognise it."""
    return prefix + os.urandom(32).hex()


def secret_sha256(secret: str) -> str:
    """How a secret is kept."""
    return hashlib.sha256(secret.encode()).hexdigest()
