"""What every `Store` does. A new one joins by a row in `STORES`."""

from collections.abc import Callable
from pathlib import Path

import pytest
import urllib3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.domain.blobs import BlobName, Room
from orchestrator.errors import ConflictError, DamagedBlobError, InvalidRequestError
from orchestrator.storage.folder import FolderStore
from orchestrator.storage.protocol import Note, Store
from plans.bundle import digest
from tests.orchestrator.object_store import ObjectStore
from wire import routes
from wire.errors import ErrorCode
from wire.messages import Resource, UploadPart

DATA = b"some bytes of an update"
EXPECTED = Resource(digest(DATA), len(DATA))
PART_BYTES = 7
Opener = Callable[[Note], Store]


def folder(request: pytest.FixtureRequest) -> Opener:
    root: Path = request.getfixturevalue("tmp_path")
    return lambda note: FolderStore(root / "store", note)


def bucket(request: pytest.FixtureRequest) -> Opener:
    store: ObjectStore = request.getfixturevalue("object_store")
    from orchestrator.storage.s3 import open_s3

    url = store.new_prefix()
    return lambda note: open_s3(url, store.environment, part_bytes=PART_BYTES, note=note)


STORES: dict[str, Callable[[pytest.FixtureRequest], Opener]] = {"folder": folder, "bucket": bucket}


@pytest.fixture
def noted() -> list[BlobName]:
    """Every blob that the store told of."""
    return []


@pytest.fixture(params=list(STORES.values()), ids=list(STORES))
def store(request: pytest.FixtureRequest, noted: list[BlobName]) -> Store:
    opener: Opener = request.param(request)
    return opener(noted.append)


def send(store: Store, part: UploadPart, data: bytes, sha256: str, assignment_id: str = "assignment") -> None:
    """Send one part, as a device and the route do, or to the object store that it names."""
    body = data[part.offset : part.offset + part.size_bytes]
    if not part.url.startswith("/"):
        answer = urllib3.request(part.method, part.url, body=body, headers=part.headers, retries=False)
        assert answer.status == 200, answer.data
        return
    assert part.url == routes.update(assignment_id)
    assert part.headers == {routes.DIGEST_HEADER: sha256, routes.OFFSET_HEADER: str(part.offset)}
    take(store, body, Resource(sha256, len(data)), assignment_id, part.offset)


def take(store: Store, body: bytes, update: Resource, assignment_id: str = "assignment", offset: int = 0) -> None:
    """Take an update's bytes as the route does: in chunks, and letting go at the end."""
    incoming = store.receive(assignment_id, update, offset)
    try:
        for start in range(0, len(body), 5):
            incoming.write(body[start : start + 5])
        incoming.finish()
    finally:
        incoming.stop()


def cut(store: Store, body: bytes, update: Resource = EXPECTED) -> None:
    """Take some bytes, until the connection is cut."""
    incoming = store.receive("assignment", update, 0)
    incoming.write(body)
    incoming.stop()


def send_all(store: Store, data: bytes = DATA, assignment_id: str = "assignment") -> int:
    """Send what is missing of an update; how many bytes that were."""
    update = Resource(digest(data), len(data))
    parts = store.missing_parts(assignment_id, update)
    for part in parts:
        send(store, part, data, update.sha256, assignment_id)
    return sum(part.size_bytes for part in parts)


@pytest.mark.parametrize("data", [b"", DATA, bytes(range(256)) * 10_000], ids=len)
def test_bytes_are_kept_by_their_digest(store: Store, data: bytes) -> None:
    resource = store.put(data)
    assert resource == Resource(digest(data), len(data))
    assert store.read(resource.sha256) == data
    assert store.size_bytes(resource.sha256) == len(data)
    assert store.put(data) == resource
    assert store.read(resource.sha256) == data


def test_temps_are_kept_and_served_to_nobody(store: Store) -> None:
    resource = store.put_temp(DATA)
    assert store.read_temp(resource.sha256) == DATA
    assert store.size_bytes(resource.sha256) is None
    with pytest.raises(FileNotFoundError):
        store.read(resource.sha256)


def test_every_blob_is_noted_before_it_is_there(store: Store, noted: list[BlobName]) -> None:
    store.put(DATA)
    store.put_temp(DATA)
    store.put(DATA)
    blob, temp = BlobName(Room.BLOBS, EXPECTED.sha256), BlobName(Room.TEMPS, EXPECTED.sha256)
    assert noted == [blob, temp, blob]


@pytest.mark.parametrize("kind", STORES.values(), ids=STORES)
def test_a_blob_that_may_not_be_noted_is_not_put(
    request: pytest.FixtureRequest, kind: Callable[[pytest.FixtureRequest], Opener]
) -> None:
    def refuse(blob: BlobName) -> None:
        raise OSError("not now")

    store = kind(request)(refuse)
    with pytest.raises(OSError, match="not now"):
        store.put(DATA)
    assert store.size_bytes(EXPECTED.sha256) is None


@pytest.mark.parametrize(
    "name", ["", "../../fedelta.db", "/etc/passwd", EXPECTED.sha256.upper(), EXPECTED.sha256[:63], "é" * 64, "0" * 64]
)
def test_a_name_that_is_no_kept_digest_finds_nothing(store: Store, tmp_path: Path, name: str) -> None:
    store.put(DATA)
    (tmp_path / "fedelta.db").write_bytes(b"secret")
    assert store.size_bytes(name) is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(st.text() | st.text("./0af", max_size=70))
def test_no_text_finds_anything_else(store: Store, name: str) -> None:
    assert store.size_bytes(name) is None


@pytest.mark.parametrize("span", [(0, 3_000_000), (5, 6), (1_048_575, 1_048_577), (2_999_999, 3_000_000)])
def test_a_span_of_bytes_comes_in_chunks(store: Store, span: tuple[int, int]) -> None:
    data = bytes(index % 251 for index in range(3_000_000))
    sha256 = store.put(data).sha256
    chunks = list(store.chunks(sha256, *span))
    assert b"".join(chunks) == data[slice(*span)]
    assert max(map(len, chunks)) <= 1 << 20


def test_what_is_not_there_is_not_found(store: Store) -> None:
    for read in (store.read, store.read_temp):
        with pytest.raises(FileNotFoundError):
            read("0" * 64)
    with pytest.raises(FileNotFoundError):
        next(store.chunks("0" * 64, 0, 1))
    with pytest.raises(FileNotFoundError):
        store.read_update("assignment", EXPECTED)


def test_a_deleted_blob_is_gone_and_may_be_put_again(store: Store) -> None:
    store.put(DATA)
    for _ in range(2):
        store.delete(BlobName(Room.BLOBS, EXPECTED.sha256))
    assert store.size_bytes(EXPECTED.sha256) is None
    store.put(DATA)
    assert store.read(EXPECTED.sha256) == DATA


def test_an_update_comes_in_the_parts_that_the_store_wants(store: Store) -> None:
    assert send_all(store) == len(DATA)
    assert store.missing_parts("assignment", EXPECTED) == ()
    assert store.read_update("assignment", EXPECTED) == DATA
    assert list(store.assignments_with_updates()) == ["assignment"]


def test_parts_cover_an_update_in_order(store: Store) -> None:
    end = 0
    for part in store.missing_parts("assignment", EXPECTED):
        assert (part.method, part.offset) == ("PUT", end)
        end += part.size_bytes
    assert end == len(DATA)


def test_an_update_may_come_whole_through_the_orchestrator_and_come_again(store: Store) -> None:
    for _ in range(2):
        take(store, DATA, EXPECTED)
        assert store.read_update("assignment", EXPECTED) == DATA
        assert store.missing_parts("assignment", EXPECTED) == ()


def test_an_update_that_was_cut_goes_on_from_what_is_there(store: Store) -> None:
    cut(store, DATA[:17])
    with pytest.raises(FileNotFoundError):
        store.read_update("assignment", EXPECTED)
    assert send_all(store) <= len(DATA) - 17 + 17 % PART_BYTES
    assert store.read_update("assignment", EXPECTED) == DATA


def test_an_update_that_was_cut_may_begin_anew(store: Store) -> None:
    cut(store, DATA[::-1][:17])
    take(store, DATA, EXPECTED)
    assert store.read_update("assignment", EXPECTED) == DATA


def test_bytes_whose_beginning_is_not_here_are_refused(store: Store) -> None:
    cut(store, DATA[:5])
    with pytest.raises(ConflictError, match="ask what is missing"):
        store.receive("assignment", EXPECTED, 6)
    send_all(store)
    assert store.read_update("assignment", EXPECTED) == DATA


REFUSED: dict[str, tuple[bytes, ErrorCode]] = {
    "too long": (DATA + b"!", ErrorCode.TOO_LARGE),
    "too short": (DATA[:-1], ErrorCode.INVALID_UPDATE),
    "nothing": (b"", ErrorCode.INVALID_UPDATE),
    "other bytes": (DATA[::-1], ErrorCode.DIGEST_MISMATCH),
}


@pytest.mark.parametrize(("data", "code"), REFUSED.values(), ids=REFUSED)
def test_a_refused_update_leaves_nothing(store: Store, data: bytes, code: ErrorCode) -> None:
    before = [(part.offset, part.size_bytes) for part in store.missing_parts("assignment", EXPECTED)]
    with pytest.raises(InvalidRequestError) as refused:
        take(store, data, EXPECTED)
    assert refused.value.code is code
    assert [(part.offset, part.size_bytes) for part in store.missing_parts("assignment", EXPECTED)] == before


def test_a_refused_update_does_not_disturb_another(store: Store) -> None:
    take(store, DATA, EXPECTED)
    with pytest.raises(InvalidRequestError):
        take(store, DATA, Resource("0" * 64, len(DATA)))
    assert store.read_update("assignment", EXPECTED) == DATA


def test_updates_are_deleted_with_their_assignment(store: Store) -> None:
    for assignment_id in ("assignment", "another"):
        take(store, DATA, EXPECTED, assignment_id)
    for _ in range(2):
        store.delete_updates("assignment")
    assert list(store.assignments_with_updates()) == ["another"]
    assert store.read_update("another", EXPECTED) == DATA


def test_one_update_is_deleted_beside_another(store: Store) -> None:
    other = Resource(digest(DATA[::-1]), len(DATA))
    take(store, DATA, EXPECTED)
    take(store, DATA[::-1], other)
    for _ in range(2):
        store.delete_update("assignment", EXPECTED.sha256)
    with pytest.raises(FileNotFoundError):
        store.read_update("assignment", EXPECTED)
    assert store.read_update("assignment", other) == DATA[::-1]


def test_a_damaged_update_is_never_read(request: pytest.FixtureRequest, object_store: ObjectStore) -> None:
    store = bucket(request)(lambda blob: None)
    for part in store.missing_parts("assignment", EXPECTED):
        send(store, part, DATA[::-1], EXPECTED.sha256)
    with pytest.raises(DamagedBlobError):
        store.read_update("assignment", EXPECTED)
