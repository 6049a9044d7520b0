"""Clients from what people have: arrays with a column of clients, files, databases, a Python function."""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from federated.simulation.datasets.client_data import ClientData
from federated.simulation.errors import DataError
from wire.tensors import Array


def from_arrays(x: Array, y: Array, client: Array) -> ClientData:
    """A client for every value in `client`, which says whose each example is; examples keep their order.

    Raises:
        DataError: the arrays differ in length.
    """
    x, y, client = np.asarray(x), np.asarray(y), np.asarray(client)
    if not len(x) == len(y) == len(client):
        raise DataError(f"x has {len(x)} rows, y {len(y)} and client {len(client)}; each example has one in each")
    names, which = np.unique(client, return_inverse=True)
    order = np.argsort(which, kind="stable")
    ends = np.cumsum(np.bincount(which, minlength=len(names)))
    rows = {str(name): part for name, part in zip(names.tolist(), np.split(order, ends[:-1]), strict=True) if len(part)}
    return ClientData(list(rows), lambda name: (x[rows[name]], y[rows[name]]))


def from_npz(path: str | Path, *, x: str = "x", y: str = "y", client: str = "client") -> ClientData:
    """The arrays of these names in a `.npz` file.

    Raises:
        DataError: the file is none, or lacks an array.
    """
    arrays = _arrays(Path(path), [x, y, client])
    return from_arrays(arrays[x], arrays[y], arrays[client])


def from_directory(path: str | Path, *, x: str = "x", y: str = "y") -> ClientData:
    """A client for every `.npz` file in a folder, called as the file; each is read when the client's turn comes.

    Raises:
        DataError: there is no such file.
    """
    files = {file.stem: file for file in sorted(Path(path).glob("*.npz"))}
    if not files:
        raise DataError(f"there is no .npz file in {path}")

    def read(name: str) -> tuple[Array, Array]:
        arrays = _arrays(files[name], [x, y])
        return arrays[x], arrays[y]

    return ClientData(list(files), read)


def pooled(data: ClientData) -> ClientData:
    """One client, `everybody`, who has all examples; a round over it is an epoch of training in one place."""
    return ClientData(["everybody"], lambda _: data.all_examples())


def from_function(client_ids: Sequence[str], function: Callable[[str], tuple[Array, Array]]) -> ClientData:
    """Clients whose examples a Python function gives, for instance from other files, or made up."""
    return ClientData(client_ids, function)


def from_sqlite(
    path: str | Path,
    *,
    table: str = "examples",
    client: str = "client",
    x: str | Sequence[str] = "x",
    y: str = "y",
    x_shape: Sequence[int] = (),
    x_dtype: Any = np.float32,
    y_dtype: Any = np.int32,
) -> ClientData:
    """A row for each example in a SQLite database, which is asked for a client's rows when its turn comes.

    Args:
        x: the columns of numbers that an example is made of; or one column of blobs, the bytes of an array of
            `x_shape` and `x_dtype`.

    Raises:
        DataError: the database has no such columns, or a blob has another size.
    """
    columns = [x] if isinstance(x, str) else list(x)
    for name in (table, client, *columns, y):
        if not name.isidentifier():
            raise DataError(f"a table's or a column's name is made of letters, digits and _, found {name!r}")
    # The names are identifiers, looked at above; values are parameters.
    names = _rows(path, f"SELECT DISTINCT {client} FROM {table} ORDER BY {client}", ())  # noqa: S608
    keys = {str(key): key for (key,) in names}
    query = f"SELECT {y}, {', '.join(columns)} FROM {table} WHERE {client} = ? ORDER BY rowid"  # noqa: S608

    def read(name: str) -> tuple[Array, Array]:
        found = _rows(path, query, (keys[name],))
        labels = np.array([row[0] for row in found], y_dtype)
        if isinstance(x, str) and found and isinstance(found[0][1], bytes):
            return _from_blobs([row[1] for row in found], x_shape, x_dtype), labels
        values = np.array([row[1:] for row in found], x_dtype)
        return values[:, 0] if isinstance(x, str) else values, labels

    return ClientData(list(keys), read)


def from_parquet(path: str | Path, *, client: str = "client", x: str | Sequence[str] = "x", y: str = "y") -> ClientData:
    """The columns of a Parquet file; needs pyarrow.

    Args:
        x: the columns of numbers that an example is made of; or one column of numbers or of lists of them.

    Raises:
        DataError: pyarrow is not installed, or the file has no such columns.
    """
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise DataError("Parquet files need pyarrow", fix="pip install 'fedelta[simulation]'") from error
    columns = [x] if isinstance(x, str) else list(x)
    try:
        found = parquet.read_table(path, columns=[client, *columns, y]).to_pydict()
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    values = np.array(found[x]) if isinstance(x, str) else np.stack([found[name] for name in columns], 1)
    return from_arrays(values, np.array(found[y]), np.array(found[client]))


def _arrays(path: Path, names: Sequence[str]) -> dict[str, Array]:
    try:
        with path.open("rb") as stored, np.load(stored, allow_pickle=False) as file:
            if missing := [name for name in names if name not in file]:
                raise DataError(f"{path} has no array {missing[0]!r}; it has {', '.join(file)}")
            return {name: file[name] for name in names}
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise DataError(f"{path} cannot be read as a .npz file: {error}") from error


def _rows(path: str | Path, query: str, parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    if not Path(path).is_file():
        raise DataError(f"there is no database {path}")
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            return connection.execute(query, parameters).fetchall()
    except sqlite3.Error as error:
        raise DataError(f"{path} cannot be asked: {error}") from error


def _from_blobs(blobs: Sequence[bytes], shape: Sequence[int], dtype: Any) -> Array:
    size_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    for blob in blobs:
        if len(blob) != size_bytes:
            raise DataError(f"a blob has {len(blob)} bytes; {np.dtype(dtype)}{list(shape)} has {size_bytes}")
    return np.frombuffer(b"".join(blobs), dtype).reshape(len(blobs), *shape)
