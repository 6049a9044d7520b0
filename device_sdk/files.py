"""Files that survive a power cut: after a write returns, the new content is there whole; before, the old one is.

A rename is the only step that a reader can see. The content is on the disk before it, the folder's entry after it.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from device_sdk.errors import StateError


def write_durably(path: Path, data: bytes) -> None:
    """Replace a file's content, for its owner's eyes only.

    Raises:
        StateError: the disk did not take it; the old content stands.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        with open(temporary, "wb", opener=_open_privately) as file:
            file.write(data)
        publish(temporary, path)
    except OSError as error:
        raise StateError(f"cannot write {path}: {error.strerror}") from error


def publish(temporary: Path, path: Path) -> None:
    """Give a finished temporary file its name, once its content is on the disk."""
    _sync(temporary)
    temporary.replace(path)
    _sync(path.parent)


def remove_durably(path: Path) -> None:
    """Remove a file, if it is there."""
    path.unlink(missing_ok=True)
    _sync(path.parent)


def set_aside(path: Path) -> Path:
    """Rename a file that cannot be read, so that it is kept for a person and met no more; gives the new name."""
    aside = path.with_name(path.name + ".corrupt")
    path.replace(aside)
    return aside


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that ends with the process, however that ends.

    Raises:
        StateError: another process holds it.
    """
    with open(path, "wb", opener=_open_privately) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StateError(
                f"another fedelta-device is at work in {path.parent}; stop it, or give this one its own --state-dir"
            ) from None
        yield


def _open_privately(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
