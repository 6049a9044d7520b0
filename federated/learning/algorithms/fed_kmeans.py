"""Federated k-means: each example belongs to its nearest centre, and a centre is the mean of all that ever did.

    S_j = Σ of the round's examples nearest to centre c_j,  m_j how many    c_j ← (n_j c_j + S_j) / (n_j + m_j)

Lloyd, "Least squares quantization in PCM" (1982), over the clients of a round; the running means of Sculley, "Web-scale
k-means clustering" (2010), Algorithm 1, carry over to the next. Only sums and counts leave a client.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from federated.backends.tf_computation import tf_computation
from federated.language.computation import federated_computation
from federated.language.inference import infer_type
from federated.language.operators import (
    federated_broadcast,
    federated_eval,
    federated_map,
    federated_sum,
    federated_zip,
    sequence_reduce,
)
from federated.language.placements import CLIENTS, SERVER
from federated.language.types import FederatedType, SequenceType, to_type
from wire.tensors import Array


class KMeans:
    """A federated k-means: `initialize() -> state`, `next(state, clients) -> state, metrics`.

    A client is a list of batches of examples, each float32[examples, features].
    """

    def __init__(self, initialize: Any, next_round: Any) -> None:
        self.initialize_computation = initialize
        self.next_computation = next_round

    def initialize(self) -> Any:
        """The first state: `centroids`, float32[clusters, features], and `weights`, float32[clusters]."""
        return self.initialize_computation()

    def next(self, state: Any, clients: Sequence[Iterable[Array]]) -> tuple[Any, Any]:
        """One round; the metrics are the mean squared distance to the nearest centre, and how many examples."""
        read = [[np.asarray(x, np.float32) for x in client] for client in clients]
        size = max((len(x) for client in read for x in client), default=1)
        data = [[_padded(x, size) for x in client] for client in read]
        new_state, metrics = self.next_computation(state, data)
        return new_state, metrics


def build_fed_kmeans(num_clusters: int, features: int, seed: int = 0) -> KMeans:
    """Federated k-means of examples float32[features].

    Args:
        seed: draws the first centres from a standard normal distribution: scale the examples accordingly.
    """
    centroids = np.random.default_rng(seed).normal(size=(num_clusters, features)).astype(np.float32)
    first = OrderedDict(centroids=centroids, weights=np.zeros(num_clusters, np.float32))
    nothing = OrderedDict(
        sums=np.zeros_like(centroids), counts=np.zeros(num_clusters, np.float32), squares=np.float32(0)
    )
    batch_type = to_type(OrderedDict(x=(np.float32, [None, features]), weight=(np.float32, [None])))

    @tf_computation(infer_type(nothing), batch_type, infer_type(centroids))
    def assign(total: Any, batch: Any, centres: Any) -> Any:
        from federated.backends.mathematics import argmin, least, matmul, one_hot, sum_over, transposed

        x, weight = batch["x"], batch["weight"]
        # ‖x − c‖² = ‖x‖² − 2 x·c + ‖c‖², [examples, clusters]
        distance = sum_over(x * x, 1)[:, None] - 2 * matmul(x, transposed(centres)) + sum_over(centres * centres, 1)
        nearest = one_hot(argmin(distance, 1), num_clusters) * weight[:, None]
        return OrderedDict(
            sums=total["sums"] + matmul(transposed(nearest), x),
            counts=total["counts"] + sum_over(nearest, 0),
            squares=total["squares"] + sum_over(weight * least(distance, 1), 0),
        )

    @tf_computation(infer_type(first), infer_type(nothing))
    def move(state: Any, total: Any) -> Any:
        from federated.backends.mathematics import maximum, where

        weights = state["weights"] + total["counts"]
        means = (state["weights"][:, None] * state["centroids"] + total["sums"]) / maximum(weights, 1.0)[:, None]
        moved = (total["counts"] > 0)[:, None]
        return OrderedDict(centroids=where(moved, means, state["centroids"]), weights=weights)

    @tf_computation(infer_type(nothing))
    def report(total: Any) -> Any:
        from federated.backends.mathematics import maximum
        from federated.backends.mathematics import total as sum_of

        count = sum_of(total["counts"])
        return OrderedDict(mean_squared_distance=total["squares"] / maximum(count, 1.0), num_examples=count)

    @federated_computation
    def initialize() -> Any:
        return federated_eval(tf_computation(lambda: first), SERVER)

    @federated_computation(FederatedType(infer_type(first), SERVER), FederatedType(SequenceType(batch_type), CLIENTS))
    def next_round(state: Any, data: Any) -> Any:
        def work(own: Any) -> Any:
            centres, batches = own
            return sequence_reduce(batches, nothing, lambda pair: assign(pair[0], pair[1], centres))

        at_clients = federated_broadcast(state.centroids)
        total = federated_sum(federated_map(work, (at_clients, data)))
        return federated_map(move, federated_zip((state, total))), federated_map(report, total)

    return KMeans(initialize, next_round)


def _padded(x: Array, size: int) -> dict[str, Array]:
    """A batch of so many examples: its own, and zeros of weight zero."""
    padding = np.zeros((size - len(x), *x.shape[1:]), np.float32)
    return {"x": np.concatenate([x, padding]), "weight": (np.arange(size) < len(x)).astype(np.float32)}
