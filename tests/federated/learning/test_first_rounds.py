"""Three rounds of every algorithm on a linear model with two clients, against the same by hand."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import federated as fed
from tests.federated.learning import oracle
from wire.tensors import Array

pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(300)]

ETA, ROUNDS = 0.05, 3
# Hyper-parameters are float32: 1 - 0.999 is another number there.
BETA_1, BETA_2 = float(np.float32(0.9)), float(np.float32(0.999))
build_sgdm = fed.learning.optimizers.build_sgdm


def clients() -> list[list[tuple[Array, Array]]]:
    """Two clients of 10 and 7 examples in batches of 4, the last ones short."""
    random = np.random.default_rng(7)

    def client(count: int) -> list[tuple[Array, Array]]:
        x = random.normal(size=(count, 2)).astype(np.float32)
        y = (x @ np.array([[1.0], [-2.0]]) + 0.5 + 0.1 * random.normal(size=(count, 1))).astype(np.float32)
        return [(x[start : start + 4], y[start : start + 4]) for start in range(0, count, 4)]

    return [client(10), client(7)]


CLIENTS = clients()


@pytest.fixture(scope="module")
def model() -> Any:
    """y = x w + b."""
    import keras

    keras.utils.set_random_seed(3)
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    return fed.learning.models.functional_model_from_keras(network, keras.losses.MeanSquaredError())


@dataclass(frozen=True)
class Case:
    """An algorithm, and the same by hand."""

    build: Callable[[Any], Any]
    server: Callable[[dict[str, Any], Array], Array]
    mu: float = 0.0
    is_weighted: bool = True
    is_gradient: bool = False


ALGORITHMS = fed.learning.algorithms
OPTIMIZERS = fed.learning.optimizers
CASES = {
    "FedAvg": Case(lambda m: ALGORITHMS.build_weighted_fed_avg(m, build_sgdm(ETA)), oracle.descent(1.0)),
    "FedAvg, every client as one": Case(
        lambda m: ALGORITHMS.build_unweighted_fed_avg(m, build_sgdm(ETA)), oracle.descent(1.0), is_weighted=False
    ),
    "FedProx": Case(lambda m: ALGORITHMS.build_weighted_fed_prox(m, 0.7, build_sgdm(ETA)), oracle.descent(1.0), mu=0.7),
    "FedSGD": Case(lambda m: ALGORITHMS.build_fed_sgd(m, build_sgdm(0.2)), oracle.descent(0.2), is_gradient=True),
    "FedAvgM": Case(
        lambda m: ALGORITHMS.build_weighted_fed_avg(m, build_sgdm(ETA), build_sgdm(0.9, momentum=0.9)),
        oracle.momentum(0.9, 0.9),
    ),
    "FedAdam": Case(
        lambda m: ALGORITHMS.build_weighted_fed_avg(m, build_sgdm(ETA), OPTIMIZERS.build_adam(0.1, epsilon=1e-3)),
        oracle.adaptive(0.1, BETA_1, BETA_2, 1e-3),
    ),
    "FedYogi": Case(
        lambda m: ALGORITHMS.build_weighted_fed_avg(m, build_sgdm(ETA), OPTIMIZERS.build_yogi(0.1)),
        oracle.adaptive(0.1, BETA_1, BETA_2, 1e-3, yogi=True, start=1e-6),
    ),
    "FedAdagrad": Case(
        lambda m: ALGORITHMS.build_weighted_fed_avg(m, build_sgdm(ETA), OPTIMIZERS.build_adagrad(0.1)),
        oracle.adagrad(0.1, 0.1, 1e-7),
    ),
    "RMSprop at the server": Case(
        lambda m: ALGORITHMS.build_weighted_fed_avg(m, build_sgdm(ETA), OPTIMIZERS.build_rmsprop(0.1)),
        oracle.rmsprop(0.1, 0.9, 1e-7),
    ),
}
CONTEXTS: dict[str, Callable[[], AbstractContextManager[Any]]] = {"local": fed.local_context, "plan": fed.plan_context}


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("name", CASES)
def test_rounds_are_what_the_paper_says(name: str, context: str, model: Any) -> None:
    case = CASES[name]
    process = case.build(model)
    with CONTEXTS[context]():
        state = process.initialize()
        for expected in by_hand(case, model):
            state, metrics = process.next(state, CLIENTS)
            for found, value in zip(process.get_model_weights(state).trainable, expected, strict=True):
                np.testing.assert_allclose(found, value, atol=1e-6)
    assert metrics["client_work"]["train"]["num_examples"] == 17


def by_hand(case: Case, model: Any) -> Iterator[oracle.Weights]:
    """The weights after every round."""
    weights = [np.asarray(value, np.float64) for value in model.initial_weights.trainable]
    server = oracle.Server(case.server, [{} for _ in weights])
    for _ in range(ROUNDS):
        trained: list[tuple[oracle.Weights, float]] = []
        for client in CLIENTS:
            if case.is_gradient:
                x, y = (np.concatenate(parts) for parts in zip(*client, strict=True))
                slope = oracle.gradient(weights, x, y)
                trained.append(([w - g for w, g in zip(weights, slope, strict=True)], len(x)))
            else:
                after, count = oracle.train(weights, client, ETA, case.mu)
                trained.append((after, count if case.is_weighted else 1))
        weights = server.apply(weights, oracle.mean_update(weights, trained))
        yield weights
