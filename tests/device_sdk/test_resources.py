"""The cache of plans and broadcasts: only whole, only a few, only what the digest says."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from device_sdk.errors import StateError, TransportError
from device_sdk.resources import KEPT, ResourceCache
from plans.bundle import digest
from wire.messages import Resource


class Origin:
    """Hands out bytes, and remembers from where; a call is cut after so many bytes, if it is to be."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self.offsets: list[int] = []
        self.cut_after: int | None = None

    def keep(self, data: bytes) -> Resource:
        self.contents[digest(data)] = data
        return Resource(digest(data), len(data))

    def fetch(self, resource: Resource, offset: int, write: Callable[[bytes], object]) -> None:
        self.offsets.append(offset)
        data = self.contents[resource.sha256][offset:]
        write(data[: self.cut_after])
        if self.cut_after is not None:
            raise TransportError("cut")


def cache_of(folder: Path) -> tuple[Origin, ResourceCache]:
    origin = Origin()
    return origin, ResourceCache(folder / "cache", origin.fetch)


def test_a_resource_is_fetched_once(tmp_path: Path) -> None:
    origin, cache = cache_of(tmp_path)
    resource = origin.keep(b"a plan")
    assert [cache.read(resource), cache.read(resource)] == [b"a plan", b"a plan"]
    assert ResourceCache(tmp_path / "cache", origin.fetch).read(resource) == b"a plan"
    assert origin.offsets == [0]


def test_a_download_that_was_cut_goes_on(tmp_path: Path) -> None:
    origin, cache = cache_of(tmp_path)
    resource = origin.keep(b"a plan of some length")
    for origin.cut_after in (4, 0, 3):
        with pytest.raises(TransportError, match="cut"):
            cache.read(resource)
    origin.cut_after = None
    assert ResourceCache(tmp_path / "cache", origin.fetch).read(resource) == b"a plan of some length"
    assert origin.offsets == [0, 4, 4, 7]
    assert {path.name for path in (tmp_path / "cache").iterdir()} == {resource.sha256}


@pytest.mark.parametrize("left", [b"a PLAN", b"a plan of some LENGTH", b"a plan of some length and more"])
def test_one_that_goes_on_from_something_else_begins_anew(tmp_path: Path, left: bytes) -> None:
    origin, cache = cache_of(tmp_path)
    resource = origin.keep(b"a plan of some length")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / f"{resource.sha256}.tmp").write_bytes(left)
    if len(left) < resource.size_bytes:
        with pytest.raises(TransportError, match="expected 21 bytes"):
            cache.read(resource)
    assert cache.read(resource) == b"a plan of some length"
    assert origin.offsets[-1] == 0


@pytest.mark.parametrize("data", [b"", b"a pla", b"a plan?", b"A plan"])
def test_other_bytes_are_not_kept(tmp_path: Path, data: bytes) -> None:
    origin, cache = cache_of(tmp_path)
    resource = origin.keep(b"a plan")
    origin.contents[resource.sha256] = data
    with pytest.raises(TransportError, match="expected 6 bytes"):
        cache.read(resource)
    origin.contents[resource.sha256] = b"a plan"
    assert cache.read(resource) == b"a plan"


def test_pruning_keeps_what_is_needed_and_the_newest_few(tmp_path: Path) -> None:
    origin, cache = cache_of(tmp_path)
    resources = [origin.keep(bytes([index])) for index in range(KEPT + 3)]
    for age, resource in enumerate(resources):
        cache.read(resource)
        os.utime(tmp_path / "cache" / resource.sha256, (age, age))
    (tmp_path / "cache" / "0.tmp").write_bytes(b"cut by the power")
    cache.prune(resources[0])
    kept = {path.name for path in (tmp_path / "cache").iterdir()}
    assert kept == {resource.sha256 for resource in (resources[0], *resources[-KEPT:])}


def test_pruning_nothing_is_nothing(tmp_path: Path) -> None:
    _, cache = cache_of(tmp_path)
    cache.prune()


def test_a_disk_that_does_not_take_it_is_named(tmp_path: Path) -> None:
    origin, cache = cache_of(tmp_path)
    (tmp_path / "cache").write_bytes(b"a file where the folder should be")
    with pytest.raises(StateError, match="cannot write"):
        cache.read(origin.keep(b"a plan"))
