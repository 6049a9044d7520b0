"""What a client counts for, against the same by hand."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import federated as fed
from tests.federated.learning import oracle
from tests.federated.learning.regression import (
    CLIENTS,
    CONTEXTS,
    assert_rounds_are,
    first_weights,
    linear_model,
    mean,
)

pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(300)]

ETA = 0.05


def _square_of_loss(weights: oracle.Weights, client: oracle.Batches) -> float:
    """The loss is the mean over examples of what each batch found before it was learned from."""
    total = 0.0
    for x, y in client:
        total += float(((x @ weights[0] + weights[1] - y) ** 2).sum())
        weights, _ = oracle.train(weights, [(x, y)], ETA)
    return (total / sum(len(y) for _, y in client)) ** 2


WEIGHTINGS: dict[str, tuple[Any, Callable[[oracle.Weights, oracle.Batches], float]]] = {
    "examples": (fed.learning.ClientWeighting.NUM_EXAMPLES, lambda w, client: sum(len(y) for _, y in client)),
    "uniform": (fed.learning.ClientWeighting.UNIFORM, lambda w, client: 1),
    "a function of the loss": (lambda metrics: metrics["loss"] * metrics["loss"], _square_of_loss),
}


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("name", WEIGHTINGS)
def test_a_client_counts_for_what_the_weighting_says(name: str, context: str) -> None:
    weighting, by_hand = WEIGHTINGS[name]
    model = linear_model()
    process = fed.learning.algorithms.build_weighted_fed_avg(
        model, fed.learning.optimizers.build_sgdm(ETA), client_weighting=weighting
    )

    def rounds() -> Iterator[oracle.Weights]:
        weights = first_weights(model)
        for _ in range(2):
            trained = [oracle.train(weights, client, ETA)[0] for client in CLIENTS]
            weights = mean(trained, [by_hand(weights, client) for client in CLIENTS])
            yield weights

    assert_rounds_are(process, context, rounds())


def test_a_client_without_examples_counts_for_nothing_whatever_the_function_says() -> None:
    model = linear_model()
    process = fed.learning.algorithms.build_weighted_fed_avg(
        model, fed.learning.optimizers.build_sgdm(ETA), client_weighting=lambda metrics: metrics["loss"] * 0 + 2
    )
    alone, _ = oracle.train(first_weights(model), CLIENTS[0], ETA)
    assert_rounds_are(process, "local", [alone], [CLIENTS[0], []])
