"""Where clients come from, and how their examples become batches."""

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from federated.simulation import DataError
from federated.simulation.datasets import ClientData, from_arrays, from_directory, from_function, from_npz, from_sqlite
from wire.tensors import Array

X, Y, CLIENT = np.arange(12.0, dtype=np.float32).reshape(6, 2), np.arange(6), np.array([7, 9, 7, 9, 7, 8])


def sources(folder: Path) -> dict[str, ClientData]:
    """The same three clients from everywhere."""
    np.savez(folder / "all.npz", x=X, y=Y, client=CLIENT)
    (folder / "each").mkdir()
    for name in (7, 8, 9):
        np.savez(folder / "each" / f"{name}.npz", x=X[name == CLIENT], y=Y[name == CLIENT])
    with sqlite3.connect(folder / "all.db") as connection:
        connection.execute("CREATE TABLE examples (client INTEGER, a REAL, b REAL, x BLOB, y INTEGER)")
        rows = [(int(c), *map(float, x), x.tobytes(), int(y)) for x, y, c in zip(X, Y, CLIENT, strict=True)]
        connection.executemany("INSERT INTO examples VALUES (?, ?, ?, ?, ?)", rows)
    connection.close()
    return {
        "arrays": from_arrays(X, Y, CLIENT),
        "npz": from_npz(folder / "all.npz"),
        "directory": from_directory(folder / "each"),
        "sqlite, columns": from_sqlite(folder / "all.db", x=["a", "b"]),
        "sqlite, blobs": from_sqlite(folder / "all.db", x="x", x_shape=[2]),
        "function": from_function(["7", "8", "9"], lambda name: (X[int(name) == CLIENT], Y[int(name) == CLIENT])),
    }


def test_every_source_gives_the_same_clients(tmp_path: Path) -> None:
    for name, data in sources(tmp_path).items():
        assert data.client_ids == ("7", "8", "9"), name
        x, y = data.examples("7")
        assert x.dtype == np.float32, name
        assert x.tolist() == X[[0, 2, 4]].tolist(), name
        assert y.tolist() == [0, 2, 4], name


def test_a_column_of_clients_keeps_everybodys_examples() -> None:
    x, y = from_arrays(X, Y, CLIENT).all_examples()
    assert sorted(y.tolist()) == Y.tolist()
    assert x[:, 0].tolist() == (2 * y).tolist()


def examples_of(data: ClientData, **options: int) -> list[int]:
    return [int(label) for _, y in data.batches("7", 2, **options) for label in y]


def test_batches_are_as_stored_unless_a_seed_shuffles_them() -> None:
    data = from_arrays(X, Y, CLIENT)
    assert [len(y) for _, y in data.batches("7", 2)] == [2, 1]
    assert examples_of(data) == [0, 2, 4]
    assert examples_of(data, epochs=2, max_examples=2) == [0, 2, 0, 2]
    assert examples_of(data, seed=1) == examples_of(data, seed=1)
    assert sorted(examples_of(data, seed=1, epochs=2)) == [0, 0, 2, 2, 4, 4]
    assert len({tuple(examples_of(data, seed=seed)) for seed in range(20)}) > 1


def test_a_cohort_reads_a_client_when_its_turn_comes() -> None:
    read: list[str] = []

    def function(name: str) -> tuple[Array, Array]:
        read.append(name)
        return X, Y

    cohort = ClientData([f"{n}" for n in range(100)], function).cohort(["3", "5", "8"], 2)
    clients = iter(cohort)
    assert (len(cohort), read) == (3, [])
    next(clients)
    assert read == ["3"]


def test_clients_are_split_without_a_client_in_both() -> None:
    train, test = from_arrays(X, Y, CLIENT).train_test_client_split(1, seed=4)
    assert (len(train), len(test)) == (2, 1)
    assert set(train.client_ids) | set(test.client_ids) == {"7", "8", "9"}


def test_preprocessing_happens_when_a_client_is_read() -> None:
    doubled = from_arrays(X, Y, CLIENT).preprocess(lambda x, y: (2 * x, y))
    assert doubled.examples("8").x.tolist() == (2 * X[5:]).tolist()


def test_bad_data_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 no zip")
    np.savez(tmp_path / "short.npz", x=X, y=Y)
    with pytest.raises(DataError, match="twice"):
        ClientData(["a", "a"], lambda name: (X, Y))
    with pytest.raises(DataError, match="no client 'nobody'"):
        from_arrays(X, Y, CLIENT).examples("nobody")
    with pytest.raises(DataError, match="6 rows, y 6 and client 2"):
        from_arrays(X, Y, CLIENT[:2])
    with pytest.raises(DataError, match="no array 'client'"):
        from_npz(tmp_path / "short.npz")
    with pytest.raises(DataError, match="cannot be read"):
        from_npz(tmp_path / "bad.npz")
    with pytest.raises(DataError, match=r"no \.npz file"):
        from_directory(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no database"):
        from_sqlite(tmp_path / "no.db")
    with pytest.raises(DataError, match="letters, digits"):
        from_sqlite(tmp_path / "no.db", table="examples; DROP TABLE examples")
    with pytest.raises(DataError, match="batch_size is at least 1"):
        from_arrays(X, Y, CLIENT).cohort(["7"], 0)
    with pytest.raises(DataError, match="shape"):
        from_function(["a"], lambda name: (X, Y[:3])).examples("a")
