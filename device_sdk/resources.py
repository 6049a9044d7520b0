"""Plans and broadcasts on the device, by digest.

Nothing is ever read from here whose bytes do not have the digest that names them. What came of a download that was cut
stays, and the next one goes on from there; where the whole turns out to be wrong, nothing of it stays.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from device_sdk import files
from device_sdk.errors import DeclinedError, StateError, TransportError
from plans.bundle import digest
from wire.messages import Resource

MAX_RESOURCE_BYTES = 512 << 20
KEPT = 4

Fetch = Callable[[Resource, int, Callable[[bytes], object]], None]
"""Gives a resource's bytes from an offset on, chunk by chunk."""


class ResourceCache:
    """A folder of resources; `fetch` brings those that are not there."""

    def __init__(self, folder: Path, fetch: Fetch) -> None:
        self._folder = folder
        self._fetch = fetch

    def read(self, resource: Resource) -> bytes:
        """A resource's bytes.

        Raises:
            DeclinedError: it is larger than a device takes.
            RefusedError: the orchestrator does not hand it out.
            StateError: the disk did not take it.
            TransportError: it did not come, or not whole.
        """
        if resource.size_bytes > MAX_RESOURCE_BYTES:
            raise DeclinedError(f"a resource has {resource.size_bytes} bytes; a device takes {MAX_RESOURCE_BYTES}")
        path = self._folder / resource.sha256
        if not path.exists() or digest(path.read_bytes()) != resource.sha256:
            self._download(resource, path)
        return path.read_bytes()

    def prune(self, *needed: Resource) -> None:
        """Keep what is needed and the newest few others; delete the rest, and downloads that were given up."""
        if not self._folder.exists():
            return
        names = {resource.sha256 for resource in needed}
        newest_first = sorted(self._folder.iterdir(), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        complete = [path for path in newest_first if path.suffix != ".tmp"]
        spared = {path for path in complete if path.name in names} | set(complete[:KEPT])
        for path in set(newest_first) - spared:
            path.unlink()

    def _download(self, resource: Resource, path: Path) -> None:
        temporary = path.with_suffix(".tmp")
        try:
            self._folder.mkdir(exist_ok=True)
            held = temporary.read_bytes() if temporary.exists() else b""
            if len(held) >= resource.size_bytes:
                held = b""  # it would have got its name
            with temporary.open("ab" if held else "wb") as file:
                found = self._fetch_rest(resource, held, file)
            if found != resource.sha256:
                size_bytes = temporary.stat().st_size
                temporary.unlink()
                raise TransportError(
                    f"expected {resource.size_bytes} bytes with the SHA-256 {resource.sha256}, "
                    f"found {size_bytes} bytes with {found}"
                )
            files.publish(temporary, path)
        except OSError as error:
            raise StateError(f"cannot write {path}: {error.strerror}") from error

    def _fetch_rest(self, resource: Resource, held: bytes, file: BinaryIO) -> str:
        """Write what follows the held bytes, and give the digest of both."""
        found = hashlib.sha256(held)

        def write(chunk: bytes) -> None:
            found.update(chunk)
            file.write(chunk)

        self._fetch(resource, len(held), write)
        return found.hexdigest()
