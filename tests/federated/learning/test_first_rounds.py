"""Three rounds of every algorithm on a linear model with two clients, against the same by hand."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import federated as fed
from tests.federated.learning import oracle
from tests.federated.learning.regression import CLIENTS, CONTEXTS, assert_rounds_are, first_weights, linear_model
from wire.tensors import Array

pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(300)]

ETA, ROUNDS = 0.05, 3
# Hyper-parameters are float32: 1 - 0.999 is another number there.
BETA_1, BETA_2 = float(np.float32(0.9)), float(np.float32(0.999))
BETA_2_OF_PAPER = float(np.float32(0.99))
build_sgdm = fed.learning.optimizers.build_sgdm


@pytest.fixture(scope="module")
def model() -> Any:
    """y = x w + b."""
    return linear_model()


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
    "FedProx, every client as one": Case(
        lambda m: ALGORITHMS.build_unweighted_fed_prox(m, 0.7, build_sgdm(ETA)),
        oracle.descent(1.0),
        mu=0.7,
        is_weighted=False,
    ),
    "FedSGD": Case(lambda m: ALGORITHMS.build_fed_sgd(m, build_sgdm(0.2)), oracle.descent(0.2), is_gradient=True),
    "FedAvgM": Case(
        lambda m: ALGORITHMS.build_weighted_fed_avg(m, build_sgdm(ETA), build_sgdm(0.9, momentum=0.9)),
        oracle.momentum(0.9, 0.9),
    ),
    "FedAdam": Case(
        lambda m: ALGORITHMS.build_fed_adam(m, build_sgdm(ETA), 0.1, tau=0.01),
        oracle.reddi(0.1, BETA_1, 0.01, lambda v, square: BETA_2_OF_PAPER * v + (1 - BETA_2_OF_PAPER) * square),
    ),
    "FedYogi": Case(
        lambda m: ALGORITHMS.build_fed_yogi(m, build_sgdm(ETA), 0.1, tau=0.01),
        oracle.reddi(0.1, BETA_1, 0.01, lambda v, square: v - (1 - BETA_2_OF_PAPER) * square * np.sign(v - square)),
    ),
    "FedAdagrad": Case(
        lambda m: ALGORITHMS.build_fed_adagrad(m, build_sgdm(ETA), 0.1, tau=0.01),
        oracle.reddi(0.1, 0.0, 0.01, lambda v, square: v + square),
    ),
    "FedAdagrad with momentum, every client as one": Case(
        lambda m: ALGORITHMS.build_fed_adagrad(
            m, build_sgdm(ETA), 0.1, beta_1=0.5, client_weighting=fed.learning.ClientWeighting.UNIFORM
        ),
        oracle.reddi(0.1, 0.5, 1e-3, lambda v, square: v + square),
        is_weighted=False,
    ),
    "Adam at the server": Case(
        lambda m: ALGORITHMS.build_weighted_fed_avg(m, build_sgdm(ETA), OPTIMIZERS.build_adam(0.1, epsilon=1e-3)),
        oracle.adaptive(0.1, BETA_1, BETA_2, 1e-3),
    ),
    "Yogi at the server": Case(
        lambda m: ALGORITHMS.build_weighted_fed_avg(m, build_sgdm(ETA), OPTIMIZERS.build_yogi(0.1)),
        oracle.adaptive(0.1, BETA_1, BETA_2, 1e-3, yogi=True, start=1e-6),
    ),
    "Adagrad at the server": Case(
        lambda m: ALGORITHMS.build_weighted_fed_avg(m, build_sgdm(ETA), OPTIMIZERS.build_adagrad(0.1)),
        oracle.adagrad(0.1, 0.1, 1e-7),
    ),
    "RMSprop at the server": Case(
        lambda m: ALGORITHMS.build_weighted_fed_avg(m, build_sgdm(ETA), OPTIMIZERS.build_rmsprop(0.1)),
        oracle.rmsprop(0.1, 0.9, 1e-7),
    ),
}


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("name", CASES)
def test_rounds_are_what_the_paper_says(name: str, context: str, model: Any) -> None:
    case = CASES[name]
    _, metrics = assert_rounds_are(case.build(model), context, by_hand(case, model))
    assert metrics["client_work"]["train"]["num_examples"] == 17


def by_hand(case: Case, model: Any) -> Iterator[oracle.Weights]:
    """The weights after every round."""
    weights = first_weights(model)
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
