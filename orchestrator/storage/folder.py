"""A folder as a store: of one process alone, or shared by processes that see the same disk.

    blobs/ab/abcdef…                     plans, broadcasts and checkpoints, by SHA-256
    temps/ab/abcdef…                     what a round's preparation left for its update
    updates/<assignment>/<sha256>        an update, whole
    updates/<assignment>/<sha256>.part-… what has come of one, as far as it has come

An update that comes again, from wherever, gets a file of its own that begins with what was kept: so no two connections
ever write to one file, and the last one to begin is the one that counts.
"""

import io
import os
import shutil
import tempfile
import threading
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from orchestrator.domain.blobs import BlobName, Room
from orchestrator.errors import ConflictError
from orchestrator.storage.checking import (
    RunningCheck,
    checked,
    checked_update,
    is_digest,
    named,
    part_through_orchestrator,
)
from orchestrator.storage.durable import UNFINISHED, flush_folder, settle, write_durably
from orchestrator.storage.protocol import CHUNK_BYTES, Note, note_nothing
from wire.messages import Resource, UploadPart

_PART = ".part-"


class FolderStore:
    """See the module's description, and `Store`.

    Args:
        note: see `protocol.Note`.
    """

    hears_of_updates = False

    def __init__(self, root: Path, note: Note = note_nothing) -> None:
        self._rooms = {room: root / room for room in Room}
        self._updates = root / "updates"
        self._note = note
        self._beginning = threading.Lock()
        for folder in (*self._rooms.values(), self._updates):
            folder.mkdir(parents=True, exist_ok=True)

    def remove_leftovers(self) -> None:
        """Delete what a process that was killed had not finished to write. Nobody else may be writing."""
        for folder in self._rooms.values():
            for path in folder.glob(f"*/{UNFINISHED}*"):
                path.unlink(missing_ok=True)

    def check(self) -> None:
        """See `Store`."""
        for folder in (*self._rooms.values(), self._updates):
            if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
                raise PermissionError(f"{folder} cannot be written")

    def put(self, data: bytes) -> Resource:
        """See `Store`."""
        return self._put(Room.BLOBS, data)

    def put_temp(self, data: bytes) -> Resource:
        """See `Store`."""
        return self._put(Room.TEMPS, data)

    def read(self, sha256: str) -> bytes:
        """See `Store`."""
        return checked(self._path(BlobName(Room.BLOBS, sha256)).read_bytes(), sha256)

    def read_temp(self, sha256: str) -> bytes:
        """See `Store`."""
        return checked(self._path(BlobName(Room.TEMPS, sha256)).read_bytes(), sha256)

    def size_bytes(self, sha256: str) -> int | None:
        """See `Store`."""
        if not is_digest(sha256):
            return None
        try:
            return self._path(BlobName(Room.BLOBS, sha256)).stat().st_size
        except FileNotFoundError:
            return None

    def chunks(self, sha256: str, start: int, end: int) -> Generator[bytes, None, None]:
        """See `Store`."""
        with self._path(BlobName(Room.BLOBS, sha256)).open("rb") as file:
            file.seek(start)
            yield from _pieces(file, end - start)

    def delete(self, blob: BlobName) -> None:
        """See `Store`."""
        self._path(blob).unlink(missing_ok=True)

    def missing_parts(self, assignment_id: str, update: Resource) -> tuple[UploadPart, ...]:
        """See `Store`."""
        if self._update(assignment_id, update.sha256).exists():
            return ()
        held = max(map(_size, self._parts(assignment_id, update.sha256)), default=0)
        # An update that is all there but was never finished is finished by a part without bytes.
        return (part_through_orchestrator(assignment_id, update, held),)

    def receive(self, assignment_id: str, update: Resource, offset: int) -> "IncomingFile":
        """See `Store`."""
        folder = self._updates / assignment_id
        folder.mkdir(parents=True, exist_ok=True)
        with self._beginning:
            earlier = self._parts(assignment_id, update.sha256)
            kept = _longest(earlier, offset)
            incoming = IncomingFile(folder, update)
            for path in earlier:
                path.unlink(missing_ok=True)  # it may just have been finished
        with kept:
            incoming.take_over(kept, offset)
        return incoming

    def read_arrived(self, assignment_id: str, update: Resource) -> bytes:
        """See `Store`."""
        return self._update(assignment_id, update.sha256).read_bytes()

    def read_update(self, assignment_id: str, update: Resource) -> bytes:
        """See `Store`."""
        return checked_update(self.read_arrived(assignment_id, update), update.sha256)

    def delete_update(self, assignment_id: str, sha256: str) -> None:
        """See `Store`."""
        self._update(assignment_id, sha256).unlink(missing_ok=True)

    def delete_updates(self, assignment_id: str) -> None:
        """See `Store`."""
        shutil.rmtree(self._updates / assignment_id, ignore_errors=True)

    def assignments_with_updates(self) -> Iterable[str]:
        """See `Store`."""
        return [path.name for path in self._updates.iterdir()]

    def _put(self, room: Room, data: bytes) -> Resource:
        resource = named(data)
        blob = BlobName(room, resource.sha256)
        path = self._path(blob)
        self._note(blob)
        if not path.exists() or path.read_bytes() != data:
            write_durably(path, data)
            flush_folder(path.parents[1])
        return resource

    def _path(self, blob: BlobName) -> Path:
        return self._rooms[blob.room] / blob.sha256[:2] / blob.sha256

    def _update(self, assignment_id: str, sha256: str) -> Path:
        return self._updates / assignment_id / sha256

    def _parts(self, assignment_id: str, sha256: str) -> list[Path]:
        return list((self._updates / assignment_id).glob(f"{sha256}{_PART}*"))


class IncomingFile:
    """An update that comes into a file; see `Incoming`. Every byte is in the file when `write` returns.

    Calls take turns: a request that is cancelled stops the update while a thread may still be writing.
    """

    def __init__(self, folder: Path, expected: Resource) -> None:
        self._place = folder / expected.sha256
        self._check = RunningCheck(expected)
        self._descriptor, name = tempfile.mkstemp(dir=folder, prefix=f"{expected.sha256}{_PART}")
        self._path = Path(name)
        self._is_open = True
        self._turn = threading.Lock()

    def take_over(self, kept: BinaryIO, offset: int) -> None:
        """Begin with the first `offset` bytes of what came earlier."""
        try:
            for piece in _pieces(kept, offset):
                self.write(piece)
        except BaseException:
            self.discard()
            raise

    def write(self, data: bytes) -> None:
        """See `Incoming`."""
        with self._turn:
            try:
                self._check.add(data)
            except BaseException:
                self.discard()
                raise
            view = memoryview(data)
            while view:
                view = view[os.write(self._descriptor, view) :]

    def finish(self) -> None:
        """See `Incoming`."""
        with self._turn:
            try:
                self._check.finish()
                settle(self._descriptor, self._path, self._place)
                flush_folder(self._place.parents[1])
            except FileNotFoundError:
                raise ConflictError("the update was sent again meanwhile, or its round has ended; check in") from None
            finally:
                self.discard()

    def stop(self) -> None:
        """See `Incoming`."""
        with self._turn:
            self._close()
            if self._check.size_bytes == 0:
                self._path.unlink(missing_ok=True)

    def discard(self) -> None:
        """Let go of the file, and of its bytes where they have not found their place."""
        self._close()
        self._path.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._is_open:
            self._is_open = False
            os.close(self._descriptor)


def _longest(parts: list[Path], offset: int) -> BinaryIO:
    """The longest of an update's files, opened: it stays readable when its name goes.

    Raises:
        ConflictError: it ends before `offset`.
    """
    longest = max(parts, key=_size, default=None)
    held = 0 if longest is None else _size(longest)
    if held < offset:
        raise ConflictError(f"only {held} of the {offset} bytes before these are here; ask what is missing")
    return longest.open("rb") if longest is not None and held else io.BytesIO()


def _size(path: Path) -> int:
    """How long a file is, 0 where it has just gone."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _pieces(file: BinaryIO, size_bytes: int) -> Iterator[bytes]:
    """The next bytes of a file, up to so many, in chunks."""
    while size_bytes and (piece := file.read(min(size_bytes, CHUNK_BYTES))):
        size_bytes -= len(piece)
        yield piece
