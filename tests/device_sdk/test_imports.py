"""From an `.npz` file to arrays that training can use."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from device_sdk.errors import ExamplesError
from device_sdk.imports import read_npz
from wire.tensors import Array


def saved(folder: Path, **arrays: Any) -> Path:
    path = folder / "examples.npz"
    np.savez(path, **arrays)
    return path


def test_plain_arrays_are_taken_as_they_are(tmp_path: Path) -> None:
    x, y = np.ones((3, 2), np.uint8), np.arange(3, dtype=np.int64)
    loaded = read_npz(saved(tmp_path, x=x, y=y))
    np.testing.assert_array_equal(loaded.arrays["x"], x)
    assert loaded.arrays["y"].dtype == np.int64
    assert not loaded.notes


def test_wide_floats_and_truths_are_narrowed_with_a_note(tmp_path: Path) -> None:
    loaded = read_npz(saved(tmp_path, x=np.ones(2), y=np.array([True, False])))
    assert {name: array.dtype.name for name, array in loaded.arrays.items()} == {"x": "float32", "y": "uint8"}
    assert loaded.notes == ("x: float64 is stored as float32", "y: bool is stored as uint8")


def test_one_client_of_several_is_taken_without_its_number(tmp_path: Path) -> None:
    path = saved(tmp_path, x=np.arange(6), client=np.array([0, 1, 0, 2, 1, 0]))
    loaded = read_npz(path, client=0)
    assert list(loaded.arrays) == ["x"]
    np.testing.assert_array_equal(loaded.arrays["x"], [0, 2, 5])
    assert set(read_npz(path).arrays) == {"x", "client"}


UNUSABLE: dict[str, tuple[dict[str, Array], str]] = {
    "NaN": ({"x": np.array([[0, 1], [2, np.nan]], np.float32)}, "'x' holds NaN or infinity, first at [1, 1]"),
    "infinity": ({"x": np.array([np.inf], np.float16)}, "'x' holds NaN or infinity, first at [0]"),
    "too large for float32": ({"x": np.array([1.0, 1e300])}, "the array 'x' holds values too large for float32"),
    "texts": ({"x": np.array(["a"])}, "'x' has the dtype <U1; examples are numbers"),
    "complex numbers": ({"x": np.array([1j])}, "complex128; examples are numbers"),
    "moments": ({"x": np.array(["2026-01-01"], "datetime64[D]")}, "examples are numbers"),
    "objects": ({"x": np.array([None], object)}, "allow_pickle"),
}


@pytest.mark.parametrize(("arrays", "reason"), UNUSABLE.values(), ids=UNUSABLE)
def test_values_that_no_training_takes_are_refused(tmp_path: Path, arrays: dict[str, Array], reason: str) -> None:
    with pytest.raises(ExamplesError) as refusal:
        read_npz(saved(tmp_path, **arrays))
    assert reason in str(refusal.value)


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"x": np.arange(2)}, "--client needs an array 'client'"),
        ({"x": np.arange(2), "client": np.array([3, 5])}, "no rows of client 7; its clients are 3 to 5"),
        ({"x": np.arange(2), "client": np.array([], int)}, "the array 'x' has the shape [2], expected 0 rows"),
        ({"x": np.arange(2), "client": np.array([7])}, "the array 'x' has the shape [2], expected 1 rows"),
    ],
)
def test_a_client_must_be_there(tmp_path: Path, arrays: dict[str, Array], reason: str) -> None:
    with pytest.raises(ExamplesError) as refusal:
        read_npz(saved(tmp_path, **arrays), client=7)
    assert reason in str(refusal.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half a zip", b"x,y\n1,2\n"])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "examples.npz"
    path.write_bytes(content)
    with pytest.raises(ExamplesError, match=r"cannot read .* as an \.npz"):
        read_npz(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExamplesError, match="No such file"):
        read_npz(tmp_path / "examples.npz")


def test_a_single_array_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "examples.npy", np.arange(3))
    with pytest.raises(ExamplesError, match="does not hold arrays with names"):
        read_npz(tmp_path / "examples.npy")
