"""From an `.npz` file to arrays that the example store takes.

What training cannot use is refused here, where a person can still mend it: objects, texts, NaN. float64 becomes
float32 and bool becomes uint8, which is what programs on devices take, and the person is told.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from device_sdk.errors import ExamplesError
from wire.tensors import Array, Tensors

CLIENT = "client"
_CONVERSIONS = {"float64": "float32", "bool": "uint8"}


@dataclass(frozen=True)
class Import:
    """Arrays for the store, and sentences about what was changed in them."""

    arrays: dict[str, Array]
    notes: tuple[str, ...]


def read_npz(path: Path, client: int | None = None) -> Import:
    """The arrays of a file; of one client only, where the file holds several and says so in an array `client`.

    Raises:
        ExamplesError: not such a file, no such client, or values that no training takes.
    """
    arrays = _load(path)
    if client is not None:
        arrays = _rows_of(client, arrays)
    notes = []
    for name, array in arrays.items():
        if (dtype := _CONVERSIONS.get(array.dtype.name)) is not None:
            notes.append(f"{name}: {array.dtype.name} is stored as {dtype}")
            arrays[name] = _converted(name, array, dtype)
        _refuse_unusable(name, arrays[name])
    return Import(arrays, tuple(notes))


def _load(path: Path) -> dict[str, Array]:
    try:
        arrays = _members(path)
    except Exception as error:  # zipfile, zlib, tokenize and numpy raise as many kinds as a file can be damaged in
        raise ExamplesError(f"cannot read {path} as an .npz of plain arrays: {error}") from error
    if not arrays or not all(isinstance(array, np.ndarray) for array in arrays.values()):
        raise ExamplesError(f"{path} does not hold arrays with names; write it with numpy.savez(path, x=..., y=...)")
    return arrays


def _members(path: Path) -> dict[str, Array]:
    with path.open("rb") as file:
        loaded = np.load(file, allow_pickle=False)
        return {name: loaded[name] for name in loaded} if isinstance(loaded, Mapping) else {}


def _rows_of(client: int, arrays: Tensors) -> dict[str, Array]:
    if CLIENT not in arrays:
        raise ExamplesError(f"--client needs an array {CLIENT!r} with the client of each row; the file has none")
    owners = arrays[CLIENT]
    if owners.ndim != 1 or owners.dtype.kind not in "iu":
        raise ExamplesError(
            f"the array {CLIENT!r} must hold one integer a row, found {owners.dtype}{list(owners.shape)}"
        )
    for name, array in arrays.items():
        if array.ndim == 0 or len(array) != len(owners):
            raise ExamplesError(f"the array {name!r} has the shape {list(array.shape)}, expected {len(owners)} rows")
    rows = np.flatnonzero(owners == client)
    if not rows.size:
        raise ExamplesError(f"the file has no rows of client {client}; its clients are {_range(owners)}")
    return {name: array[rows] for name, array in arrays.items() if name != CLIENT}


def _converted(name: str, array: Array, dtype: str) -> Array:
    with np.errstate(over="ignore"):
        converted: Array = array.astype(dtype)
    if dtype == "float32" and (np.isinf(converted) & np.isfinite(array)).any():
        raise ExamplesError(f"the array {name!r} holds values too large for float32, which programs on devices take")
    return converted


def _range(owners: Array) -> str:
    return f"{owners.min()} to {owners.max()}" if owners.size else "none"


def _refuse_unusable(name: str, array: Array) -> None:
    if array.dtype.kind not in "iuf":
        raise ExamplesError(f"the array {name!r} has the dtype {array.dtype}; examples are numbers")
    if array.dtype.kind == "f" and not (finite := np.isfinite(array)).all():
        first = tuple(int(index) for index in np.argwhere(~finite)[0])
        raise ExamplesError(f"the array {name!r} holds NaN or infinity, first at {list(first)}; nothing was imported")
