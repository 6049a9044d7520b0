"""What the orchestrator asks of a store of bytes.

A store keeps *blobs*, named by their SHA-256 and never changed, and *updates*, which belong to an assignment and come
piece by piece. Two rules hold for every store: what a method has kept when it returns survives a power cut, and a
reader meets whole bytes or none.

Methods wait for disks and networks: call them from a thread (`Context.in_store_thread`), never on the event loop. What
a store cannot do just now it says with an `OSError`; the same call may succeed later.
"""

from collections.abc import Callable, Generator, Iterable
from typing import Protocol

from orchestrator.domain.blobs import BlobName
from wire.messages import Resource, UploadPart

CHUNK_BYTES = 1 << 20


# Told of every blob before its bytes are written. It may refuse with an OSError.
Note = Callable[[BlobName], None]


def note_nothing(blob: BlobName) -> None:
    """For a store whose blobs nobody collects."""


class Incoming(Protocol):
    """An update while it comes in over one connection: hashed on the way, and never longer than it said."""

    def write(self, data: bytes) -> None:
        """Take the next bytes.

        Raises:
            InvalidRequestError: they are more than the update has; nothing of it stays.
        """
        ...

    def finish(self) -> None:
        """Keep the update for good.

        Raises:
            InvalidRequestError: another size, or another digest; nothing of it stays.
            ConflictError: it was sent over another connection meanwhile, or its round has ended.
        """
        ...

    def stop(self) -> None:
        """Let go of the connection. What came stays for the device to go on from; harmless after `finish`."""
        ...


class Store(Protocol):
    """See the module's description.

    Attributes:
        hears_of_updates: whether a device has to ask where its update goes, as one that sends it past the orchestrator
            has; else it sends the update at once, and asks what is missing where it was cut.
    """

    hears_of_updates: bool

    def check(self) -> None:
        """Raise an `OSError` where nothing can be kept just now."""
        ...

    def put(self, data: bytes) -> Resource:
        """Keep some bytes and give their name. The same bytes again change nothing, or mend what was damaged."""
        ...

    def put_temp(self, data: bytes) -> Resource:
        """`put`, where nobody but the orchestrator can ask for the bytes."""
        ...

    def read(self, sha256: str) -> bytes:
        """Some kept bytes.

        Raises:
            FileNotFoundError: there are none of that name.
            DamagedBlobError: they are not what was kept.
        """
        ...

    def read_temp(self, sha256: str) -> bytes:
        """`read`, of what `put_temp` kept."""
        ...

    def size_bytes(self, sha256: str) -> int | None:
        """How long a blob is that may be served, or None where there is none of that name, whatever the name."""
        ...

    def chunks(self, sha256: str, start: int, end: int) -> Generator[bytes, None, None]:
        """A blob's bytes from `start` to before `end`, a chunk at a time; they are not checked."""
        ...

    def delete(self, blob: BlobName) -> None:
        """Delete a blob; one that is not there is no error."""
        ...

    def missing_parts(self, assignment_id: str, update: Resource) -> tuple[UploadPart, ...]:
        """What is still to be sent of an update, and where to; nothing where it is all there."""
        ...

    def receive(self, assignment_id: str, update: Resource, offset: int) -> Incoming:
        """Begin to take an update through the orchestrator, from its byte `offset` on.

        Raises:
            ConflictError: the bytes before `offset` are not there.
        """
        ...

    def read_arrived(self, assignment_id: str, update: Resource) -> bytes:
        """`read_update`, for the first time: a store that took the bytes itself has held them to their digest."""
        ...

    def read_update(self, assignment_id: str, update: Resource) -> bytes:
        """An update, whole.

        Raises:
            FileNotFoundError: it has not come, or not all of it.
            DamagedBlobError: what came has another digest.
        """
        ...

    def delete_update(self, assignment_id: str, sha256: str) -> None:
        """Delete one of an assignment's updates."""
        ...

    def delete_updates(self, assignment_id: str) -> None:
        """Delete all that came for an assignment."""
        ...

    def assignments_with_updates(self) -> Iterable[str]:
        """The assignments that something is kept for."""
        ...
