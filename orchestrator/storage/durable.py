"""Files that survive a power cut, and a folder that one process has to itself.

A file is written beside its place, flushed, renamed, and its folder flushed.
"""

import fcntl
import os
import tempfile
from pathlib import Path
from typing import IO

from orchestrator.errors import DataFolderError

UNFINISHED = ".new-"


def write_durably(path: Path, data: bytes) -> None:
    """Put a file in its place at once and for good. Only its owner may read it: it may hold a key or an update."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=UNFINISHED, delete=False) as file:
        try:
            file.write(data)
            file.flush()
            settle(file.fileno(), Path(file.name), path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def settle(descriptor: int, written: Path, place: Path) -> None:
    """Flush an open file and move it to its place.

    Raises:
        FileNotFoundError: somebody deleted it meanwhile.
    """
    os.fsync(descriptor)
    written.replace(place)
    flush_folder(place.parent)


def flush_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
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
