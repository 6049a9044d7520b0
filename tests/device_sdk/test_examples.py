"""The example store: what goes in comes out, row by row; what does not fit changes nothing."""

import gc
import sqlite3
import stat
import tracemalloc
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from device_sdk.errors import ExamplesError, StateError
from device_sdk.examples import ExampleStore
from device_sdk.state_dir import StateDir
from wire.tensors import DTYPES, Array, TensorSpec

NAMES = st.from_regex(r"[a-z0-9_]{1,12}", fullmatch=True)
SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, max_side=3)
DTYPE = st.sampled_from(sorted(DTYPES)).map(np.dtype)


def pair() -> dict[str, Array]:
    return {"x": np.arange(6, dtype=np.float32).reshape(3, 2), "y": np.array([1, 2, 3], np.int64)}


@settings(max_examples=50, deadline=None)
@given(data=st.data(), specs=st.dictionaries(NAMES, st.tuples(DTYPE, SHAPES), min_size=1, max_size=3))
def test_examples_come_out_as_they_went_in(
    data: st.DataObject, specs: dict[str, tuple[np.dtype[Any], tuple[int, ...]]]
) -> None:
    count = data.draw(st.integers(1, 5))
    arrays = {name: data.draw(hnp.arrays(dtype, (count, *shape))) for name, (dtype, shape) in specs.items()}
    indices = data.draw(st.lists(st.integers(0, 2 * count - 1), max_size=8))
    with TemporaryDirectory() as folder:
        store = ExampleStore(Path(folder) / "examples.sqlite")
        store.append("default", arrays)
        assert store.append("default", arrays) == 2 * count
        read = store.collection("default").read(indices)
        store.close()
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array[np.array(indices, int) % count])
        assert read[name].dtype == array.dtype
        assert read[name].flags.c_contiguous


def test_big_endian_and_strided_arrays_are_stored_by_value(store: ExampleStore) -> None:
    store.append(
        "default",
        {"x": np.arange(8, dtype=">f4")[::2], "y": np.asfortranarray(np.array([[1, 2], [3, 4]] * 2, np.int16))},
    )
    read = store.collection("default").read([3, 0])
    np.testing.assert_array_equal(read["x"], [6, 0])
    np.testing.assert_array_equal(read["y"], [[3, 4], [1, 2]])


def test_a_collection_says_what_it_holds(store: ExampleStore) -> None:
    store.append("digits", pair())
    store.append("beeps", {"sound": np.zeros((2, 9), np.int16)})
    assert store.names() == ["beeps", "digits"]
    digits = store.collection("digits")
    assert len(digits) == 3
    assert digits.fields == {"x": TensorSpec("float32", (2,)), "y": TensorSpec("int64", ())}


def test_examples_are_there_after_a_restart(state: StateDir) -> None:
    for count in (3, 6):
        store = ExampleStore(state.examples)
        assert store.append("default", pair()) == count
        store.close()


def test_an_import_is_seen_by_a_store_that_is_open(state: StateDir, store: ExampleStore) -> None:
    store.append("default", pair())
    collection = store.collection("default")
    other = ExampleStore(state.examples)
    other.append("default", pair())
    other.close()
    assert len(collection) == 6


REFUSED: dict[str, tuple[str, dict[str, Array], str]] = {
    "different lengths": ("default", pair() | {"z": np.zeros(4)}, "one row an example; these have x 3, y 3, z 4"),
    "no arrays": ("default", {}, "found none"),
    "no axis": ("default", {"x": np.zeros(())}, "without axes"),
    "texts": ("default", {"x": np.array(["a", "b"])}, "dtype 'str"),
    "objects": ("default", {"x": np.array([None, 1], object)}, "dtype 'object'"),
    "a collection's name": ("Default!", pair(), "the name 'Default!' must match"),
    "a field's name": ("default", {"X": np.zeros(3)}, "the name 'X' must match"),
    "another field": ("known", {"x": np.zeros((3, 2), np.float32)}, "has the fields x=float32[2], y=int64; these have"),
    "another shape": ("known", pair() | {"x": np.zeros((3, 3), np.float32)}, "these have x=float32[3], y=int64"),
    "another dtype": ("known", pair() | {"y": np.zeros(3, np.int32)}, "these have x=float32[2], y=int32"),
}


@pytest.mark.parametrize(("name", "arrays", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_changes_nothing(
    store: ExampleStore, name: str, arrays: dict[str, Array], reason: str
) -> None:
    store.append("known", pair())
    with pytest.raises(ExamplesError) as refusal:
        store.append(name, arrays)
    assert reason in str(refusal.value)
    assert store.names() == ["known"]
    assert len(store.collection("known")) == 3


def test_a_missing_collection_is_an_error_that_lists_the_others(store: ExampleStore) -> None:
    store.append("digits", pair())
    with pytest.raises(ExamplesError, match="there is no collection 'letters'; there is digits"):
        store.collection("letters")


def test_a_missing_example_is_an_error(store: ExampleStore) -> None:
    store.append("default", pair())
    with pytest.raises(ExamplesError, match="no example 3"):
        store.collection("default").read([0, 3])


def test_a_batch_needs_memory_for_a_batch(store: ExampleStore) -> None:
    store.append("default", {"x": np.zeros((2000, 4096), np.uint8)})
    collection = store.collection("default")
    collection.read([0])
    gc.collect()
    tracemalloc.start()
    for start in range(0, 2000, 10):
        collection.read(list(range(start, start + 10)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # Five batches here; other threads of the process may hold something as well.
    assert peak < 20 * 10 * 4096, f"{peak} bytes for batches of {10 * 4096}, of 8 MB in all"


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "examples.sqlite"
    path.write_bytes(b"this is not a database, whatever its name says" * 100)
    with pytest.raises(StateError, match="move it away"):
        ExampleStore(path)


def test_a_newer_store_is_refused(state: StateDir) -> None:
    ExampleStore(state.examples).close()
    connection = sqlite3.connect(state.examples)
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    with pytest.raises(StateError, match="newer version's example store"):
        ExampleStore(state.examples)


def test_a_power_cut_loses_no_example(state: StateDir, store: ExampleStore) -> None:
    """Every commit waits for the disk: journal_mode WAL with synchronous FULL (2)."""
    settings = [store._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    assert settings == ["wal", 2]


def test_examples_are_for_their_owner_only(state: StateDir, store: ExampleStore) -> None:
    store.append("default", pair())
    for path in state.path.glob("examples.sqlite*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
