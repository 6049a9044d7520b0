"""The example store: local examples in SQLite. They are read here for training, and sent nowhere.

A collection has fixed fields, each of one dtype and shape. One example is one row: its fields' bytes, little-endian, in
the order of their names. A batch reads its rows and no others, so memory stays flat however many there are. An import
is one transaction: all of it is there afterwards, or nothing.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from device_sdk.errors import ExamplesError, StateError
from wire.tensors import NAME_PATTERN, Array, Specs, Tensors, TensorSpec

SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE collection (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE field (
    collection_id INTEGER NOT NULL REFERENCES collection, name TEXT NOT NULL, dtype TEXT NOT NULL, shape TEXT NOT NULL,
    PRIMARY KEY (collection_id, name)
);
CREATE TABLE example (
    collection_id INTEGER NOT NULL REFERENCES collection, position INTEGER NOT NULL, content BLOB NOT NULL,
    PRIMARY KEY (collection_id, position)
);
"""


@contextmanager
def _only_our_errors() -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise StateError(
            f"the example store failed: {error}; if it is damaged, move it away and import again"
        ) from error


@dataclass(frozen=True)
class Collection:
    """The examples of one collection; a `plans.client.Examples`."""

    name: str
    fields: Specs
    _id: int
    _connection: sqlite3.Connection

    def __len__(self) -> int:
        query = "SELECT coalesce(max(position) + 1, 0) FROM example WHERE collection_id = ?"
        with _only_our_errors():
            return int(self._connection.execute(query, (self._id,)).fetchone()[0])

    def read(self, indices: Sequence[int]) -> dict[str, Array]:
        """The examples at these indices, in this order; for each field an array whose first axis is the example.

        Raises:
            ExamplesError: there is no such index.
        """
        with _only_our_errors():
            content = b"".join(self._contents(indices))
        records = np.frombuffer(content, _record_dtype(self.fields))
        return {name: np.ascontiguousarray(records[name], spec.dtype) for name, spec in self.fields.items()}

    def _contents(self, indices: Sequence[int]) -> Iterator[bytes]:
        query = "SELECT content FROM example WHERE collection_id = ? AND position = ?"
        for index in indices:
            row = self._connection.execute(query, (self._id, index)).fetchone()
            if row is None:
                raise ExamplesError(f"the collection {self.name!r} has no example {index}")
            yield row[0]


class ExampleStore:
    """The collections of one device. Another process may import while this one trains.

    Raises:
        StateError: the file is not a store, or a newer version's.
    """

    def __init__(self, path: Path) -> None:
        with _only_our_errors():
            path.touch(mode=0o600)
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=30.0)
        try:
            self._prepare(path)
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @_only_our_errors()
    def names(self) -> list[str]:
        """The collections there are."""
        return [name for (name,) in self._connection.execute("SELECT name FROM collection ORDER BY name")]

    @_only_our_errors()
    def collection(self, name: str) -> Collection:
        """A collection by its name.

        Raises:
            ExamplesError: there is none.
        """
        row = self._connection.execute("SELECT id FROM collection WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise ExamplesError(f"there is no collection {name!r}; there is {', '.join(self.names()) or 'none'}")
        query = "SELECT name, dtype, shape FROM field WHERE collection_id = ? ORDER BY name"
        fields = {
            field: TensorSpec(dtype, _sizes(shape)) for field, dtype, shape in self._connection.execute(query, row)
        }
        return Collection(name, fields, row[0], self._connection)

    @_only_our_errors()
    def append(self, name: str, arrays: Tensors) -> int:
        """Add examples to a collection, which the first of them create; gives how many the collection has then.

        Args:
            arrays: the fields, each with the example as its first axis.

        Raises:
            ExamplesError: names, lengths, dtypes, or fields that differ from the collection's.
        """
        fields = _fields_of(name, arrays)
        rows = _rows(arrays, fields)
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            collection = self._created(name, fields)
            start = len(collection)
            self._connection.executemany(
                "INSERT INTO example VALUES (?, ?, ?)",
                ((collection._id, position, row) for position, row in enumerate(rows, start)),
            )
            self._connection.execute("COMMIT")
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        return len(collection)

    @_only_our_errors()
    def _prepare(self, path: Path) -> None:
        self._connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise StateError(f"{path} is a newer version's example store ({version}); update fedelta")
        if version == 0:
            self._connection.executescript(
                f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
            )

    def _created(self, name: str, fields: Specs) -> Collection:
        if name not in self.names():
            self._connection.execute("INSERT INTO collection (name) VALUES (?)", (name,))
            ((identifier,),) = self._connection.execute("SELECT id FROM collection WHERE name = ?", (name,))
            rows = [(identifier, field, spec.dtype, _text(spec.shape)) for field, spec in fields.items()]
            self._connection.executemany("INSERT INTO field VALUES (?, ?, ?, ?)", rows)
        collection = self.collection(name)
        if dict(collection.fields) != dict(fields):
            raise ExamplesError(
                f"the collection {name!r} has the fields {_shown(collection.fields)}; these have {_shown(fields)}"
            )
        return collection


def _fields_of(name: str, arrays: Tensors) -> dict[str, TensorSpec]:
    for word in (name, *arrays):
        if not NAME_PATTERN.fullmatch(word):
            raise ExamplesError(f"the name {word!r} must match {NAME_PATTERN.pattern}")
    if not arrays or any(array.ndim == 0 for array in arrays.values()):
        raise ExamplesError("expected arrays whose first axis is the example, found none, or one without axes")
    if len({len(array) for array in arrays.values()}) > 1:
        lengths = ", ".join(f"{field} {len(array)}" for field, array in sorted(arrays.items()))
        raise ExamplesError(f"every array has one row an example; these have {lengths}")
    try:
        return {field: TensorSpec(arrays[field].dtype.name, arrays[field].shape[1:]) for field in sorted(arrays)}
    except ValueError as error:
        raise ExamplesError(str(error)) from None


def _rows(arrays: Tensors, fields: Specs) -> Iterator[bytes]:
    """Each example's bytes, made one at a time."""
    dtype = _record_dtype(fields)
    for index in range(len(next(iter(arrays.values())))):
        record = np.empty((), dtype)
        for name in fields:
            record[name] = arrays[name][index]
        yield record.tobytes()


def _record_dtype(fields: Specs) -> np.dtype[Any]:
    return np.dtype(
        [(name, np.dtype(fields[name].dtype).newbyteorder("<"), fields[name].shape) for name in sorted(fields)]
    )


def _text(shape: tuple[int, ...]) -> str:
    return ",".join(map(str, shape))


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(int(size) for size in text.split(",") if size)


def _shown(fields: Mapping[str, TensorSpec]) -> str:
    return ", ".join(f"{name}={spec}" for name, spec in sorted(fields.items()))
