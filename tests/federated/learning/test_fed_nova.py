"""FedNova against the same by hand, with clients of three and of two local steps."""

from collections.abc import Iterator
from typing import Any

import numpy as np
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
    plus,
)

pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(300)]

ETA = 0.05
build_sgdm, build_fed_nova = fed.learning.optimizers.build_sgdm, fed.learning.algorithms.build_fed_nova


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("rho", [None, 0.5])
def test_a_client_pulls_no_further_for_taking_more_steps(context: str, rho: float | None) -> None:
    model = linear_model()
    assert_rounds_are(build_fed_nova(model, build_sgdm(ETA, momentum=rho)), context, _by_hand(model, rho or 0.0))


def _by_hand(model: Any, rho: float) -> Iterator[oracle.Weights]:
    x = first_weights(model)
    shares = [10 / 17, 7 / 17]
    for _ in range(3):
        norms, directions = [], []
        for batches in CLIENTS:
            w, v = x, [np.zeros_like(value) for value in x]
            counts: list[float] = []  # how often each gradient counts: a_i
            for batch in batches:
                v = [rho * old + g for old, g in zip(v, oracle.gradient(w, *batch), strict=True)]
                w = plus(w, v, -ETA)
                counts = [sum(rho**k for k in range(len(batches) - s)) for s in range(len(batches))]
            norms.append(sum(counts))
            directions.append([(before - after) / sum(counts) for before, after in zip(x, w, strict=True)])
        x = plus(x, mean(directions, shares), -float(np.dot(shares, norms)))
        yield x


def test_with_equally_many_steps_it_is_federated_averaging() -> None:
    model, data = linear_model(), [CLIENTS[0][:2], CLIENTS[1][:2]]
    average = fed.learning.algorithms.build_weighted_fed_avg(model, build_sgdm(ETA))
    state = average.next(average.initialize(), data).state
    assert_rounds_are(build_fed_nova(model, build_sgdm(ETA)), "local", [state.global_model_weights.trainable], data)


def test_an_optimizer_whose_steps_are_not_sums_of_gradients_is_refused() -> None:
    with pytest.raises(fed.language.errors.MisuseError, match="found an optimizer with learning_rate, beta_1"):
        build_fed_nova(linear_model(), fed.learning.optimizers.build_adam(0.1))
