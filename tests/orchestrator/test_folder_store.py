"""The folder keeps whole files or none, and says so when the disk refuses. (What every store does: `test_stores`.)"""

import errno
import os
from pathlib import Path

import pytest

from orchestrator.errors import ConflictError, DamagedBlobError, InvalidRequestError
from orchestrator.storage.durable import write_durably
from orchestrator.storage.folder import FolderStore
from plans.bundle import digest
from tests.orchestrator.full_disk import full_disk
from wire.messages import Resource

DATA = b"some bytes of an update"
EXPECTED = Resource(digest(DATA), len(DATA))


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


def files(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in tmp_path.rglob("*") if path.is_file())


def blob_path(tmp_path: Path) -> Path:
    return tmp_path / "store" / "blobs" / EXPECTED.sha256[:2] / EXPECTED.sha256


def test_the_same_bytes_again_change_nothing(store: FolderStore, tmp_path: Path) -> None:
    store.put(DATA)
    path = blob_path(tmp_path)
    before = path.stat()
    assert store.put(DATA) == EXPECTED
    assert path.stat() == before


def test_bytes_that_the_disk_changed_are_never_read(store: FolderStore, tmp_path: Path) -> None:
    resource = store.put(DATA)
    path = blob_path(tmp_path)
    path.write_bytes(DATA[:-1] + b"?")
    with pytest.raises(DamagedBlobError, match="restore it from a backup"):
        store.read(resource.sha256)
    store.put(DATA)
    assert store.read(resource.sha256) == DATA


def test_a_file_is_replaced_at_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "key"
    write_durably(path, b"one")
    write_durably(path, b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert files(tmp_path) == ["key"]


def test_a_file_that_cannot_take_its_place_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        write_durably(tmp_path / "taken", DATA)
    assert files(tmp_path) == []


def test_an_update_is_one_file_and_nothing_else(store: FolderStore, tmp_path: Path) -> None:
    for _ in range(2):
        incoming = store.receive("assignment", EXPECTED, 0)
        incoming.write(DATA)
        incoming.finish()
        incoming.stop()
    assert files(tmp_path) == [EXPECTED.sha256]


def test_a_refused_update_leaves_no_file(store: FolderStore, tmp_path: Path) -> None:
    incoming = store.receive("assignment", EXPECTED, 0)
    incoming.write(DATA[::-1])
    with pytest.raises(InvalidRequestError):
        incoming.finish()
    incoming.stop()
    assert files(tmp_path) == []


def test_a_connection_without_a_byte_leaves_no_file(store: FolderStore, tmp_path: Path) -> None:
    store.receive("assignment", EXPECTED, 0).stop()
    assert files(tmp_path) == []


def test_of_two_connections_at_once_the_later_counts(store: FolderStore, tmp_path: Path) -> None:
    early = store.receive("assignment", EXPECTED, 0)
    early.write(DATA[:10])
    late = store.receive("assignment", EXPECTED, 10)
    early.write(DATA[10:])
    late.write(DATA[10:])
    with pytest.raises(ConflictError, match="sent again meanwhile"):
        early.finish()
    late.finish()
    assert store.read_update("assignment", EXPECTED) == DATA
    assert files(tmp_path) == [EXPECTED.sha256]


def test_what_a_killed_process_had_not_finished_is_removed(store: FolderStore, tmp_path: Path) -> None:
    store.put(DATA)
    (blob_path(tmp_path).parent / ".new-half").write_bytes(b"half")
    store.remove_leftovers()
    assert files(tmp_path) == [EXPECTED.sha256]


def test_a_blob_that_the_disk_does_not_take_leaves_nothing(store: FolderStore, tmp_path: Path) -> None:
    with full_disk(10), pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
        store.put(DATA)
    assert files(tmp_path) == []
    assert store.put(DATA) == EXPECTED


def test_an_update_goes_on_when_the_disk_has_room_again(store: FolderStore, tmp_path: Path) -> None:
    with full_disk(10):
        incoming = store.receive("assignment", EXPECTED, 0)
        with pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
            incoming.write(DATA)
        incoming.stop()
    (part,) = store.missing_parts("assignment", EXPECTED)
    assert part.offset == 10
    incoming = store.receive("assignment", EXPECTED, 10)
    incoming.write(DATA[10:])
    incoming.finish()
    assert store.read_update("assignment", EXPECTED) == DATA
