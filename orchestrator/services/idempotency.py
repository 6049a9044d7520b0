"""A request that makes something may be sent again: with the same `Idempotency-Key` it gets the first answer.

The answer is kept in the transaction that makes the thing, so that there is never one without the other.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from orchestrator.db import queries
from orchestrator.db.queries.answers import KeptAnswer
from orchestrator.errors import ConflictError, InvalidRequestError
from orchestrator.sealing import seal, unseal
from orchestrator.signing import secret_sha256
from wire.errors import ErrorCode

KEPT_SECONDS = 24 * 3600.0
_MOST_CHARACTERS = 200


@dataclass(frozen=True)
class Repeatable:
    """A request that may be repeated.

    Attributes:
        api_key: whose request it is.
        key: the `Idempotency-Key`.
        request_sha256: the digest of everything that the request says.

    Raises:
        InvalidRequestError: the key is not 1 to 200 printable ASCII characters.
    """

    api_key: str
    key: str
    request_sha256: str

    def __post_init__(self) -> None:
        if not (1 <= len(self.key) <= _MOST_CHARACTERS and self.key.isascii() and self.key.isprintable()):
            raise InvalidRequestError(
                f"an Idempotency-Key has 1 to {_MOST_CHARACTERS} printable ASCII characters, found {self.key[:40]!r}"
            )


def first_answer(tx: Connection, request: Repeatable, now: float) -> bytes | None:
    """The answer that this request got before, or None where it is the first.

    Raises:
        ConflictError: the key came before with another request.
    """
    kept = queries.answers.kept(tx, secret_sha256(request.api_key), request.key, now - KEPT_SECONDS)
    if kept is None:
        return None
    if kept.request_sha256 != request.request_sha256:
        raise ConflictError(
            "this Idempotency-Key came before with another request; a new request takes a new key",
            ErrorCode.IDEMPOTENCY_CONFLICT,
        )
    return unseal(kept.sealed, request.api_key, request.key)


def answer_once(tx: Connection, request: Repeatable, make: Callable[[], bytes], now: float) -> bytes:
    """The first answer where there is one, else what `make` answers, kept for a day.

    Raises:
        ConflictError: the key came before with another request.
    """
    earlier = first_answer(tx, request, now)
    if earlier is not None:
        return earlier
    answer = make()
    queries.answers.forget(tx, now - KEPT_SECONDS)
    kept = KeptAnswer(request.request_sha256, seal(answer, request.api_key, request.key))
    queries.answers.add(tx, secret_sha256(request.api_key), request.key, kept, now)
    return answer
