"""The store of an orchestrator with several replicas: a bucket of an S3-compatible object store, through `obstore`.

    blobs/ab/abcdef…, temps/ab/abcdef…           as in the folder
    updates/<assignment>/<sha256>/000000000000   the parts of an update, each by the offset of its first byte

A put is durable when it returns, and a reader meets a whole object or none. Objects are named by their content, so that
putting one again is harmless, and any replica may do it.

Devices send updates past the orchestrator: an update is cut into parts of `PART_BYTES`, each an object of its own with
a presigned URL, and whoever was interrupted sends the parts that are missing. The store holds a part to its exact size;
the whole is held to its digest before its report is accepted. Devices that send to the orchestrator instead fill the
same parts through it.
"""

import os
import re
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store as Bucket

from orchestrator.domain.blobs import BlobName, Room
from orchestrator.errors import ConflictError, DataFolderError, StoreUnavailableError
from orchestrator.storage.checking import RunningCheck, checked, checked_update, is_digest, named
from orchestrator.storage.presigned import Signer
from orchestrator.storage.protocol import CHUNK_BYTES, Note, note_nothing
from wire.messages import Resource, UploadPart

if TYPE_CHECKING:
    from obstore.store import S3Config

PART_BYTES = 8 << 20
URL_SECONDS = 600
_DEFAULT_REGION = "us-east-1"
# Nothing that a URL would have to escape.
_URL = re.compile(r"s3://([a-z0-9.-]+)((?:/[A-Za-z0-9._-]+)*)/?")


@dataclass(frozen=True)
class Patience:
    """How long the store may take: a request, and all attempts at one together."""

    request: timedelta = timedelta(seconds=30)
    attempts: int = 4
    altogether: timedelta = timedelta(seconds=45)


class S3Store:
    """See the module's description, and `Store`.

    Args:
        bucket: through `open_bucket`.
        prefix: what every key begins with, empty or ending in a slash.
        part_bytes: the size of an update's parts; the same for all replicas.
        note: see `protocol.Note`.
    """

    hears_of_updates = True

    def __init__(
        self,
        bucket: Bucket,
        signer: Signer,
        prefix: str = "",
        *,
        part_bytes: int = PART_BYTES,
        note: Note = note_nothing,
    ) -> None:
        self._bucket = bucket
        self._signer = signer
        self._prefix = prefix
        self._part_bytes = part_bytes
        self._note = note

    def check(self) -> None:
        """See `Store`. Asks for an object that is not there: the store answers, and takes the credentials."""
        self._size(f"{self._prefix}check")

    def put(self, data: bytes) -> Resource:
        """See `Store`."""
        return self._put(Room.BLOBS, data)

    def put_temp(self, data: bytes) -> Resource:
        """See `Store`."""
        return self._put(Room.TEMPS, data)

    def read(self, sha256: str) -> bytes:
        """See `Store`."""
        return checked(self._read(self._blob(BlobName(Room.BLOBS, sha256))), sha256)

    def read_temp(self, sha256: str) -> bytes:
        """See `Store`."""
        return checked(self._read(self._blob(BlobName(Room.TEMPS, sha256))), sha256)

    def size_bytes(self, sha256: str) -> int | None:
        """See `Store`."""
        return self._size(self._blob(BlobName(Room.BLOBS, sha256))) if is_digest(sha256) else None

    def chunks(self, sha256: str, start: int, end: int) -> Generator[bytes, None, None]:
        """See `Store`."""
        for first in range(start, end, CHUNK_BYTES):
            with _plain_errors():
                piece = obstore.get_range(
                    self._bucket,
                    self._blob(BlobName(Room.BLOBS, sha256)),
                    start=first,
                    end=min(first + CHUNK_BYTES, end),
                )
            yield bytes(piece)

    def delete(self, blob: BlobName) -> None:
        """See `Store`."""
        self._delete([self._blob(blob)])

    def missing_parts(self, assignment_id: str, update: Resource) -> tuple[UploadPart, ...]:
        """See `Store`."""
        return tuple(
            UploadPart("PUT", self._signer.put_url(key, size, URL_SECONDS), offset, size)
            for offset, size in self._spans(update)
            if self._size(key := self._part(assignment_id, update.sha256, offset)) != size
        )

    def receive(self, assignment_id: str, update: Resource, offset: int) -> "IncomingParts":
        """See `Store`."""
        if offset:
            raise ConflictError("through the orchestrator this store takes an update whole; ask what is missing")
        return IncomingParts(
            update,
            self._part_bytes,
            put=lambda start, data: self._put_object(self._part(assignment_id, update.sha256, start), data),
            discard=lambda: self.delete_update(assignment_id, update.sha256),
        )

    def read_arrived(self, assignment_id: str, update: Resource) -> bytes:
        """See `Store`. Devices send past the orchestrator, so that nobody has hashed the bytes yet."""
        return self.read_update(assignment_id, update)

    def read_update(self, assignment_id: str, update: Resource) -> bytes:
        """See `Store`."""
        parts = (self._read(self._part(assignment_id, update.sha256, offset)) for offset, _ in self._spans(update))
        return checked_update(b"".join(parts), update.sha256)

    def delete_update(self, assignment_id: str, sha256: str) -> None:
        """See `Store`."""
        self._delete_all(f"{self._prefix}updates/{assignment_id}/{sha256}")

    def delete_updates(self, assignment_id: str) -> None:
        """See `Store`."""
        self._delete_all(f"{self._prefix}updates/{assignment_id}")

    def assignments_with_updates(self) -> Iterable[str]:
        """See `Store`."""
        with _plain_errors():
            found = obstore.list_with_delimiter(self._bucket, f"{self._prefix}updates")
        return [folder.rstrip("/").rsplit("/", 1)[-1] for folder in found["common_prefixes"]]

    def _put(self, room: Room, data: bytes) -> Resource:
        resource = named(data)
        blob = BlobName(room, resource.sha256)
        self._note(blob)
        self._put_object(self._blob(blob), data)
        return resource

    def _spans(self, update: Resource) -> Iterator[tuple[int, int]]:
        for offset in range(0, update.size_bytes, self._part_bytes):
            yield offset, min(self._part_bytes, update.size_bytes - offset)

    def _read(self, key: str) -> bytes:
        """An object, by ranges: each is a request that may be made again, and none is long."""
        with _plain_errors():
            size = obstore.head(self._bucket, key)["size"]
            starts = range(0, size, self._part_bytes)
            ends = [min(start + self._part_bytes, size) for start in starts]
            return b"".join(map(bytes, obstore.get_ranges(self._bucket, key, starts=[*starts], ends=ends)))

    def _size(self, key: str) -> int | None:
        try:
            with _plain_errors():
                return obstore.head(self._bucket, key)["size"]
        except FileNotFoundError:
            return None

    def _put_object(self, key: str, data: bytes) -> None:
        with _plain_errors():
            obstore.put(self._bucket, key, data)

    def _delete(self, keys: list[str]) -> None:
        with _plain_errors():
            obstore.delete(self._bucket, keys)

    def _delete_all(self, prefix: str) -> None:
        with _plain_errors():
            for page in obstore.list(self._bucket, prefix):
                obstore.delete(self._bucket, [found["path"] for found in page])

    def _blob(self, blob: BlobName) -> str:
        return f"{self._prefix}{blob.room}/{blob.sha256[:2]}/{blob.sha256}"

    def _part(self, assignment_id: str, sha256: str, offset: int) -> str:
        return f"{self._prefix}updates/{assignment_id}/{sha256}/{offset:012}"


class IncomingParts:
    """An update that comes through the orchestrator, whole, and goes on in parts; memory holds one. See `Incoming`."""

    def __init__(
        self, expected: Resource, part_bytes: int, put: Callable[[int, bytes], None], discard: Callable[[], None]
    ) -> None:
        self._check = RunningCheck(expected)
        self._part_bytes = part_bytes
        self._put = put
        self._discard = discard
        self._put_to = 0
        self._waiting = bytearray()

    def write(self, data: bytes) -> None:
        """See `Incoming`."""
        self._or_discard(lambda: self._check.add(data))
        self._waiting += data
        while len(self._waiting) >= self._part_bytes:
            self._put_part(self._part_bytes)

    def finish(self) -> None:
        """See `Incoming`."""
        self._or_discard(self._check.finish)
        if self._waiting:
            self._put_part(len(self._waiting))

    def stop(self) -> None:
        """See `Incoming`."""
        self._waiting.clear()

    def _put_part(self, size_bytes: int) -> None:
        self._put(self._put_to, bytes(self._waiting[:size_bytes]))
        del self._waiting[:size_bytes]
        self._put_to += size_bytes

    def _or_discard(self, check: Callable[[], None]) -> None:
        try:
            check()
        except BaseException:
            self._discard()
            raise


def open_s3(
    url: str,
    environment: Mapping[str, str] = os.environ,
    *,
    patience: Patience = Patience(),
    part_bytes: int = PART_BYTES,
    note: Note = note_nothing,
    clock: Callable[[], float] = time.time,
) -> S3Store:
    """The store at a URL such as `s3://bucket/prefix`.

    Args:
        environment: has `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`; also `AWS_SESSION_TOKEN`, `AWS_REGION` (or
            `AWS_DEFAULT_REGION`) and, for a store that is not Amazon's, `AWS_ENDPOINT_URL` where there are such.

    Raises:
        DataFolderError: the URL is none of S3's, or the credentials are missing.
    """
    match = _URL.fullmatch(url)
    if match is None:
        raise DataFolderError(
            f"the store's URL must be like s3://bucket/prefix, of letters, digits, dots and dashes; found {url!r}"
        )
    name, prefix = match[1], match[2].strip("/")
    try:
        access_key_id, secret = environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"]
    except KeyError as error:
        raise DataFolderError(f"{url} needs {error.args[0]} in the environment") from None
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or _DEFAULT_REGION
    session_token = environment.get("AWS_SESSION_TOKEN")
    endpoint = environment.get("AWS_ENDPOINT_URL", "").rstrip("/")
    bucket_url = f"{endpoint}/{name}" if endpoint else f"https://{name}.s3.{region}.amazonaws.com"
    # Amazon's buckets are hosts of their own, and then obstore's endpoint is the bucket.
    config: S3Config = {
        "access_key_id": access_key_id,
        "secret_access_key": secret,
        "region": region,
        "endpoint": endpoint or bucket_url,
        "virtual_hosted_style_request": not endpoint,
    }
    if session_token:
        config["session_token"] = session_token
    bucket = Bucket(
        name,
        config=config,
        client_options={
            "allow_http": endpoint.startswith("http://"),
            "connect_timeout": timedelta(seconds=5),
            "timeout": patience.request,
        },
        retry_config={
            "max_retries": patience.attempts - 1,
            "retry_timeout": patience.altogether,
            "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=5), "base": 2},
        },
    )
    signer = Signer(bucket_url, region, access_key_id, secret, session_token, clock)
    return S3Store(bucket, signer, f"{prefix}/" if prefix else "", part_bytes=part_bytes, note=note)


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Let an object store's own errors out as ours, in one line each."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(str(error).splitlines()[0]) from error
    except BaseError as error:
        raise StoreUnavailableError(f"the object store did not do it: {str(error).splitlines()[0]}") from error
