"""Federated k-means, against the same by hand."""

import numpy as np
import pytest

import federated as fed
from wire.tensors import Array

pytestmark = pytest.mark.tensorflow


@pytest.mark.parametrize("context", ["local", "plan"])
def test_centres_are_the_means_of_all_that_were_ever_nearest(context: str) -> None:
    random = np.random.default_rng(0)
    around = np.array([[2.0, 2.0], [-2.0, 1.0], [0.0, -2.0]], np.float32)
    clients = [
        [_cloud(random, around[[0, 1]], 8), _cloud(random, around[[1]], 3)],
        [_cloud(random, around, 10)],
    ]
    process = fed.learning.algorithms.build_fed_kmeans(3, 2, seed=1)
    with {"local": fed.local_context, "plan": fed.plan_context}[context]():
        state = process.initialize()
        centres, counts = np.array(state["centroids"], np.float64), np.zeros(3)
        for _ in range(3):
            state, metrics = process.next(state, clients)
            centres, counts = _by_hand(centres, counts, np.concatenate([x for client in clients for x in client]))
            np.testing.assert_allclose(state["centroids"], centres, atol=1e-5)
            np.testing.assert_array_equal(state["weights"], counts)
    assert metrics["num_examples"] == sum(len(x) for client in clients for x in client)
    assert 0 < metrics["mean_squared_distance"] < 1


def _cloud(random: np.random.Generator, centres: Array, count: int) -> Array:
    return (centres[random.integers(len(centres), size=count)] + 0.3 * random.normal(size=(count, 2))).astype(
        np.float32
    )


def _by_hand(centres: Array, counts: Array, x: Array) -> tuple[Array, Array]:
    nearest = ((x[:, None] - centres) ** 2).sum(2).argmin(1)
    new = centres.copy()
    for j in range(len(centres)):
        own = x[nearest == j].astype(np.float64)
        if len(own):
            new[j] = (counts[j] * centres[j] + own.sum(0)) / (counts[j] + len(own))
    return new, counts + np.bincount(nearest, minlength=len(centres))
