"""Bytes held against their names."""

import hashlib
import re

from orchestrator.errors import DamagedBlobError, InvalidRequestError
from wire import routes
from wire.errors import ErrorCode
from wire.messages import Resource, UploadPart

_SHA256 = re.compile(r"[0-9a-f]{64}")


def is_digest(name: str) -> bool:
    """Whether a name from outside can be a digest at all; no other one becomes a path."""
    return _SHA256.fullmatch(name) is not None


def named(data: bytes) -> Resource:
    """Bytes by their digest and size."""
    return Resource(hashlib.sha256(data).hexdigest(), len(data))


def checked(data: bytes, sha256: str, remedy: str = "restore it from a backup") -> bytes:
    """The same bytes.

    Raises:
        DamagedBlobError: they have another digest.
    """
    if (found := hashlib.sha256(data).hexdigest()) != sha256:
        raise DamagedBlobError(f"the store's {sha256} changed on the disk and has the digest {found}; {remedy}")
    return data


def checked_update(data: bytes, sha256: str) -> bytes:
    """`checked`, of an update."""
    return checked(data, sha256, "it counts in no sum")


class RunningCheck:
    """An update's size and digest, held against the announced ones while the bytes come in."""

    def __init__(self, expected: Resource) -> None:
        self._expected = expected
        self._hash = hashlib.sha256()
        self.size_bytes = 0

    def add(self, data: bytes) -> None:
        """Count the next bytes.

        Raises:
            InvalidRequestError: they are more than the update has.
        """
        self.size_bytes += len(data)
        if self.size_bytes > self._expected.size_bytes:
            raise InvalidRequestError(
                f"the update is longer than the {self._expected.size_bytes} bytes of its plan", ErrorCode.TOO_LARGE
            )
        self._hash.update(data)

    def finish(self) -> None:
        """Hold the whole against what was announced.

        Raises:
            InvalidRequestError: another size, or another digest.
        """
        if self.size_bytes != self._expected.size_bytes:
            raise InvalidRequestError(
                f"expected {self._expected.size_bytes} bytes, found {self.size_bytes}", ErrorCode.INVALID_UPDATE
            )
        if self._hash.hexdigest() != self._expected.sha256:
            raise InvalidRequestError(
                f"expected the digest {self._expected.sha256}, found {self._hash.hexdigest()}",
                ErrorCode.DIGEST_MISMATCH,
            )


def part_through_orchestrator(assignment_id: str, update: Resource, offset: int) -> UploadPart:
    """The rest of an update, sent to the orchestrator itself."""
    headers = {routes.DIGEST_HEADER: update.sha256, routes.OFFSET_HEADER: str(offset)}
    return UploadPart("PUT", routes.update(assignment_id), offset, update.size_bytes - offset, headers)
