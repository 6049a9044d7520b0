"""Bytes on disk: immutable blobs by their content, and the raw updates of open rounds.

    blobs/ab/abcdef…           plans, broadcasts and checkpoints, by SHA-256; never changed, never half there
    temps/ab/abcdef…           what a round's preparation left for its update; kept likewise, and served to nobody
    updates/<assignment>/<sha> what devices sent for rounds that are still open

Everything is written beside its place, flushed, renamed, and the folder flushed: when a call returns, a power cut
loses nothing.
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO

from orchestrator.errors import DamagedBlobError, DataFolderError, InvalidRequestError
from wire.errors import ErrorCode
from wire.messages import Resource

_UPLOADS_PER_ASSIGNMENT = 4


def write_durably(path: Path, data: bytes) -> None:
    """Put a file in its place at once and for good. Only its owner may read it: it may hold a key or an update."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".new-", delete=False) as file:
        try:
            file.write(data)
            _settle(file, path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def _settle(file: "IO[bytes] | tempfile._TemporaryFileWrapper[bytes]", path: Path) -> None:
    file.flush()
    os.fsync(file.fileno())
    Path(file.name).replace(path)
    _flush_folder(path.parent)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lock_folder(folder: Path) -> IO[bytes]:
    """Have a folder to oneself until the lock is closed, or the process ends in any way.

    Raises:
        DataFolderError: another process has it.
    """
    lock = (folder / "lock").open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise DataFolderError(f"another orchestrator serves {folder}; stop it, or give another --data-dir") from None
    return lock


class IncomingUpdate:
    """An update while it streams in: hashed on the way, and never longer than it said."""

    def __init__(self, folder: Path, expected: Resource) -> None:
        self._folder = folder
        self._expected = expected
        self._hash = hashlib.sha256()
        self._size = 0
        folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.NamedTemporaryFile(dir=folder, prefix=".new-", delete=False)  # noqa: SIM115 - see `discard`

    @property
    def size_bytes(self) -> int:
        """How many bytes came so far."""
        return self._size

    def write(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self._size += len(chunk)
        if self._size > self._expected.size_bytes:
            raise InvalidRequestError(
                f"the update is longer than the {self._expected.size_bytes} bytes of its plan", ErrorCode.TOO_LARGE
            )
        self._hash.update(chunk)
        self._file.write(chunk)

    def finish(self) -> None:
        """Keep the bytes, durably, if they are the expected ones. Blocks on the disk.

        Raises:
            InvalidRequestError: another size, or another digest.
        """
        if self._size != self._expected.size_bytes:
            raise InvalidRequestError(
                f"expected {self._expected.size_bytes} bytes, found {self._size}", ErrorCode.INVALID_UPDATE
            )
        if self._hash.hexdigest() != self._expected.sha256:
            raise InvalidRequestError(
                f"expected the digest {self._expected.sha256}, found {self._hash.hexdigest()}",
                ErrorCode.DIGEST_MISMATCH,
            )
        _settle(self._file, self._folder / self._expected.sha256)
        _flush_folder(self._folder.parent)
        self._file.close()

    def discard(self) -> None:
        """Let go of what was not kept; harmless after `finish`."""
        self._file.close()
        Path(self._file.name).unlink(missing_ok=True)


class FolderStore:
    """The store of an embedded server: a folder; see the module's description."""

    def __init__(self, root: Path) -> None:
        self._blobs = root / "blobs"
        self._temps = root / "temps"
        self._updates = root / "updates"
        for folder in (self._blobs, self._temps, self._updates):
            folder.mkdir(parents=True, exist_ok=True)

    def check(self) -> None:
        """Raise an `OSError` where nothing can be kept."""
        for folder in (self._blobs, self._updates):
            if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
                raise PermissionError(f"{folder} cannot be written")

    def put(self, data: bytes) -> Resource:
        """Keep some bytes and give their name. The same bytes again change nothing, or mend what the disk damaged."""
        return _put(self._blobs, data)

    def put_temp(self, data: bytes) -> Resource:
        """`put`, where nobody but this server can ask for the bytes."""
        return _put(self._temps, data)

    def blob_path(self, sha256: str) -> Path | None:
        """The file of some kept bytes, or None where there are none of that name."""
        is_digest = len(sha256) == 64 and all(character in "0123456789abcdef" for character in sha256)  # noqa: PLR2004
        path = _kept(self._blobs, sha256)
        return path if is_digest and path.exists() else None

    def read(self, sha256: str) -> bytes:
        """Some kept bytes.

        Raises:
            FileNotFoundError: there are none of that name.
            DamagedBlobError: they are not what was kept.
        """
        return _read(self._blobs, sha256)

    def read_temp(self, sha256: str) -> bytes:
        """`read`, of what `put_temp` kept."""
        return _read(self._temps, sha256)

    def receive_update(self, assignment_id: str, expected: Resource) -> IncomingUpdate:
        """Begin to take an assignment's update.

        Raises:
            InvalidRequestError: the device has sent several other updates for it already.
        """
        folder = self._updates / assignment_id
        others = {path.name for path in folder.glob("[0-9a-f]*")} - {expected.sha256}
        if len(others) >= _UPLOADS_PER_ASSIGNMENT:
            raise InvalidRequestError(f"{len(others)} other updates were sent for this assignment; report one of them")
        return IncomingUpdate(folder, expected)

    def update_path(self, assignment_id: str, sha256: str) -> Path:
        """Where an assignment's update of that digest is, if it came."""
        return self._updates / assignment_id / sha256

    def assignments_with_updates(self) -> set[str]:
        """The assignments that raw updates are kept for."""
        return {path.name for path in self._updates.iterdir()}

    def delete_updates(self, assignment_id: str) -> None:
        """Delete an assignment's raw updates."""
        shutil.rmtree(self._updates / assignment_id, ignore_errors=True)


def _kept(folder: Path, sha256: str) -> Path:
    return folder / sha256[:2] / sha256


def _put(folder: Path, data: bytes) -> Resource:
    resource = Resource(hashlib.sha256(data).hexdigest(), len(data))
    path = _kept(folder, resource.sha256)
    if not path.exists() or path.read_bytes() != data:
        write_durably(path, data)
        _flush_folder(folder)
    return resource


def _read(folder: Path, sha256: str) -> bytes:
    data = _kept(folder, sha256).read_bytes()
    if (found := hashlib.sha256(data).hexdigest()) != sha256:
        raise DamagedBlobError(f"the store's file {sha256} has the digest {found}; restore it from a backup")
    return data
