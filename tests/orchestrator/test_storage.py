"""The store keeps whole files or none, under names that nobody outside can choose."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.errors import DamagedBlobError, InvalidRequestError
from orchestrator.storage import FolderStore, write_durably
from plans.bundle import digest
from wire.errors import ErrorCode
from wire.messages import Resource

DATA = b"some bytes of an update"
EXPECTED = Resource(digest(DATA), len(DATA))


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


def files(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in tmp_path.rglob("*") if path.is_file())


def receive(store: FolderStore, data: bytes, expected: Resource, assignment_id: str = "assignment") -> None:
    """Take an update as the route does: in chunks, and letting go of what is not kept."""
    incoming = store.receive_update(assignment_id, expected)
    try:
        for start in range(0, len(data), 5):
            incoming.write(data[start : start + 5])
        incoming.finish()
    finally:
        incoming.discard()


def test_bytes_are_kept_by_their_digest(store: FolderStore, tmp_path: Path) -> None:
    resource = store.put(DATA)
    assert resource == EXPECTED
    assert store.read(resource.sha256) == DATA
    assert FolderStore(tmp_path / "store").blob_path(resource.sha256) is not None


def test_the_same_bytes_again_change_nothing(store: FolderStore) -> None:
    store.put(DATA)
    path = store.blob_path(EXPECTED.sha256)
    assert path is not None
    before = path.stat()
    assert store.put(DATA) == EXPECTED
    assert path.stat() == before


@pytest.mark.parametrize(
    "name", ["", "../../fedelta.db", "/etc/passwd", EXPECTED.sha256.upper(), EXPECTED.sha256[:63], "é" * 64, "0" * 64]
)
def test_a_name_that_is_no_kept_digest_finds_nothing(store: FolderStore, tmp_path: Path, name: str) -> None:
    store.put(DATA)
    (tmp_path / "fedelta.db").write_bytes(b"secret")
    assert store.blob_path(name) is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text() | st.text("./0af", max_size=70))
def test_no_text_finds_a_file_outside_the_store(store: FolderStore, name: str) -> None:
    assert store.blob_path(name) is None


def test_bytes_that_the_disk_changed_are_never_read(store: FolderStore) -> None:
    resource = store.put(DATA)
    path = store.blob_path(resource.sha256)
    assert path is not None
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


def test_an_update_that_comes_whole_is_kept(store: FolderStore, tmp_path: Path) -> None:
    receive(store, DATA, EXPECTED)
    assert store.update_path("assignment", EXPECTED.sha256).read_bytes() == DATA
    assert store.assignments_with_updates() == {"assignment"}
    receive(store, DATA, EXPECTED)
    assert files(tmp_path) == [EXPECTED.sha256]


REFUSED: dict[str, tuple[bytes, Resource, ErrorCode]] = {
    "too long": (DATA + b"!", EXPECTED, ErrorCode.TOO_LARGE),
    "too short": (DATA[:-1], EXPECTED, ErrorCode.INVALID_UPDATE),
    "nothing": (b"", EXPECTED, ErrorCode.INVALID_UPDATE),
    "other bytes": (DATA[::-1], EXPECTED, ErrorCode.DIGEST_MISMATCH),
}


@pytest.mark.parametrize(("data", "expected", "code"), REFUSED.values(), ids=REFUSED)
def test_a_refused_update_leaves_nothing(
    store: FolderStore, tmp_path: Path, data: bytes, expected: Resource, code: ErrorCode
) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        receive(store, data, expected)
    assert refused.value.code is code
    assert files(tmp_path) == []


def test_a_refused_update_does_not_disturb_one_that_was_kept(store: FolderStore, tmp_path: Path) -> None:
    receive(store, DATA, EXPECTED)
    with pytest.raises(InvalidRequestError):
        receive(store, DATA[::-1], EXPECTED)
    assert store.update_path("assignment", EXPECTED.sha256).read_bytes() == DATA
    assert files(tmp_path) == [EXPECTED.sha256]


def other(number: int) -> tuple[bytes, Resource]:
    data = DATA + bytes([number])
    return data, Resource(digest(data), len(data))


def test_a_device_sends_a_few_updates_for_an_assignment_and_no_more(store: FolderStore) -> None:
    for number in range(4):
        receive(store, *other(number))
    with pytest.raises(InvalidRequestError, match="4 other updates were sent"):
        receive(store, *other(4))
    receive(store, *other(3))
    receive(store, *other(4), assignment_id="another")


def test_updates_are_deleted_with_their_assignment(store: FolderStore, tmp_path: Path) -> None:
    receive(store, DATA, EXPECTED)
    receive(store, DATA, EXPECTED, "another")
    store.delete_updates("assignment")
    store.delete_updates("assignment")
    assert store.assignments_with_updates() == {"another"}
    assert files(tmp_path) == [EXPECTED.sha256]


@pytest.mark.parametrize("act", [lambda incoming: None, lambda incoming: incoming.finish()])
def test_letting_go_of_an_update_twice_is_harmless(
    store: FolderStore, tmp_path: Path, act: Callable[[object], None]
) -> None:
    incoming = store.receive_update("assignment", EXPECTED)
    incoming.write(DATA)
    act(incoming)
    incoming.discard()
    incoming.discard()
    assert [name for name in files(tmp_path) if name.startswith(".new-")] == []
