"""How a data set is dealt to clients."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from federated.simulation import DataError, Trace, build_uniform_sampling_fn
from federated.simulation.datasets import (
    ClientData,
    load_cifar10,
    load_mnist,
    partition_by_dirichlet,
    partition_by_quantity,
    partition_by_shards,
)
from federated.simulation.sampling import cohort, dropped

Y = np.repeat(np.arange(10), 60)
X = np.arange(600, dtype=np.float32)[:, None]
PARTITIONERS: dict[str, Callable[[int], ClientData]] = {
    "Dirichlet": lambda seed: partition_by_dirichlet(X, Y, 12, alpha=0.5, seed=seed),
    "shards": lambda seed: partition_by_shards(X, Y, 12, seed=seed),
    "quantity": lambda seed: partition_by_quantity(X, Y, 12, seed=seed),
}


@pytest.mark.parametrize("name", PARTITIONERS)
def test_every_example_goes_to_one_client(name: str) -> None:
    data = PARTITIONERS[name](3)
    assert data.client_ids == tuple(f"{n:02}" for n in range(12))
    assert sorted(data.all_examples().x[:, 0].tolist()) == list(range(600))
    assert all(len(data.examples(client).y) for client in data.client_ids)


@pytest.mark.parametrize("name", PARTITIONERS)
def test_the_seed_decides_who_gets_what(name: str) -> None:
    first, again, other = (PARTITIONERS[name](seed).all_examples().x.tolist() for seed in (3, 3, 4))
    assert first == again != other


def labels_per_client(data: ClientData) -> float:
    return float(np.mean([len(np.unique(data.examples(client).y)) for client in data.client_ids]))


def test_a_small_alpha_leaves_a_client_few_classes() -> None:
    skewed = partition_by_dirichlet(X, Y, 12, alpha=0.05, min_examples=0)
    even = partition_by_dirichlet(X, Y, 12, alpha=100.0)
    assert labels_per_client(skewed) < 4
    assert labels_per_client(even) > 9


def test_two_shards_hold_at_most_a_few_classes() -> None:
    data = partition_by_shards(X, Y, 12)
    assert max(len(np.unique(data.examples(client).y)) for client in data.client_ids) <= 4
    assert {len(data.examples(client).y) for client in data.client_ids} == {50}


def test_quantity_skew_keeps_the_least_that_was_asked_for() -> None:
    data = partition_by_quantity(X, Y, 12, alpha=0.1, min_examples=5)
    sizes = [len(data.examples(client).y) for client in data.client_ids]
    assert min(sizes) >= 5
    assert max(sizes) > 100


def test_what_cannot_be_dealt_is_refused() -> None:
    with pytest.raises(DataError, match="cannot be dealt"):
        partition_by_shards(X[:5], Y[:5], 6)
    with pytest.raises(DataError, match="more than 0"):
        partition_by_dirichlet(X, Y, 2, alpha=0.0)
    with pytest.raises(DataError, match="fewer than 40"):
        partition_by_dirichlet(X, Y, 12, alpha=0.01, min_examples=40)


def test_a_cohort_is_drawn_from_the_seed_and_the_rounds_number_alone() -> None:
    names = [f"{n}" for n in range(50)]
    assert cohort(names, 10, 1, 7) == cohort(names, 10, 1, 7)
    assert cohort(names, 10, 1, 7) != cohort(names, 10, 1, 8)
    assert len(set(cohort(names, 10, 1, 7))) == 10
    assert sorted(cohort(names[:3], 10, 1, 7)) == names[:3]
    assert dropped(1000, 0.3, 1, 2) == dropped(1000, 0.3, 1, 2)
    assert 250 < sum(dropped(1000, 0.3, 1, 2)) < 350
    assert build_uniform_sampling_fn(names, seed=1)(7, 10) == cohort(names, 10, 1, 7)


def test_a_trace_says_who_is_there(tmp_path: Path) -> None:
    (tmp_path / "trace.csv").write_text("client,first_round,last_round\na,1,3\nb,2,2\na,9,9\n")
    trace = Trace.read(tmp_path / "trace.csv")
    assert [trace(number, ["a", "b", "c"]) for number in (1, 2, 4, 9)] == [["a"], ["a", "b"], [], ["a"]]
    (tmp_path / "trace.csv").write_text("client,first\na,1\n")
    with pytest.raises(DataError, match="no trace"):
        Trace.read(tmp_path / "trace.csv")


def test_known_data_sets_are_read_where_they_are_and_never_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    for load in (load_mnist, load_cifar10):
        with pytest.raises(DataError, match="nothing is downloaded"):
            load()
    images = np.full((3, 28, 28), 255, np.uint8)
    (tmp_path / "datasets").mkdir()
    np.savez(tmp_path / "datasets" / "mnist.npz", x_train=images, y_train=[1, 2, 3], x_test=images[:1], y_test=[4])
    train, test = load_mnist()
    assert train.x.dtype == np.float32
    assert (float(train.x.max()), test.y.tolist()) == (1.0, [4])


def test_cifars_binary_form_is_read_channel_by_channel(tmp_path: Path) -> None:
    image = np.arange(3072, dtype=np.uint8)
    for name in [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]:
        (tmp_path / f"{name}.bin").write_bytes(bytes([7]) + image.tobytes())
    train, test = load_cifar10(tmp_path)
    assert (train.x.shape, test.y.tolist()) == ((5, 32, 32, 3), [7])
    assert np.allclose(test.x[0, 0, 1] * 255, [1, (1024 + 1) % 256, (2048 + 1) % 256])
