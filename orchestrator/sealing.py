"""Answers kept for repeated requests, sealed so that the database alone tells no secret.

An answer may hold a key that is shown once. It is kept under AES-256-GCM with a key that HMAC-SHA-256 makes of the
operator's API key, whose hash alone the database has, and the request's `Idempotency-Key`.
"""

import hashlib
import hmac
import os

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_PURPOSE = b"fedelta-answer-v1"
_NONCE_BYTES = 12


def seal(data: bytes, api_key: str, idempotency_key: str) -> bytes:
    """Some bytes that `unseal` opens for the same two keys."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + _cipher(api_key, idempotency_key).encrypt(nonce, data, _PURPOSE)


def unseal(sealed: bytes, api_key: str, idempotency_key: str) -> bytes:
    """What was sealed under these keys.

    Raises:
        cryptography.exceptions.InvalidTag: it was sealed under others, or changed.
    """
    nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
    return _cipher(api_key, idempotency_key).decrypt(nonce, ciphertext, _PURPOSE)


def _cipher(api_key: str, idempotency_key: str) -> AESGCM:
    return AESGCM(hmac.digest(api_key.encode(), idempotency_key.encode(), hashlib.sha256))
