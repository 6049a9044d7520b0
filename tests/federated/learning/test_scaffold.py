"""SCAFFOLD without memory at clients: against the same by hand, and at rest where federated averaging is not."""

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
from wire.tensors import Array

pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(300)]

ETA, BETA = 0.05, 0.5
build_sgdm, ALGORITHMS = fed.learning.optimizers.build_sgdm, fed.learning.algorithms


@pytest.mark.parametrize("context", CONTEXTS)
def test_clients_correct_their_steps_by_the_gradients_of_the_round_before(context: str) -> None:
    model = linear_model()
    process = ALGORITHMS.build_stateless_scaffold(model, build_sgdm(ETA), control_rate=BETA)
    assert_rounds_are(process, context, _by_hand(model))


def _by_hand(model: Any) -> Iterator[oracle.Weights]:
    x, c = first_weights(model), None
    for _ in range(3):
        models, controls = [], []
        for batches in CLIENTS:
            c_i, y = oracle.full_gradient(x, batches), x
            correction = [value * 0 for value in x] if c is None else plus(c, c_i, -1)
            for batch in batches:
                y = plus(y, plus(oracle.gradient(y, *batch), correction), -ETA)
            models.append(y)
            controls.append(c_i)
        found = mean(controls, [10, 7])
        c = found if c is None else plus(c, plus(found, c, -1), BETA)
        x = mean(models, [10, 7])
        yield x


def test_it_comes_to_rest_at_the_optimum_and_federated_averaging_beside_it() -> None:
    """Two clients that want other models, with eight steps a round."""
    clients = [_client(1, [1.0, -2.0]), _client(2, [-3.0, 4.0])]
    optimum = _least_squares([batch for client in clients for batch in client[:1]])
    found = {}
    for build in (ALGORITHMS.build_weighted_fed_avg, ALGORITHMS.build_stateless_scaffold):
        process = build(linear_model(), build_sgdm(0.1))
        state = process.initialize()
        for _ in range(160):
            state = process.next(state, clients).state
        kernel, bias = process.get_model_weights(state).trainable
        found[build] = np.abs(np.concatenate([kernel[:, 0], bias]) - optimum).max()
    assert found[ALGORITHMS.build_weighted_fed_avg] > 0.1
    assert found[ALGORITHMS.build_stateless_scaffold] < 1e-3


def _client(seed: int, slope: list[float]) -> list[tuple[Array, Array]]:
    random = np.random.default_rng(seed)
    x = (random.normal(size=(8, 2)) * ([1.0, 0.3] if seed == 1 else [0.3, 1.0])).astype(np.float32)
    return [(x, (x @ np.array(slope)[:, None]).astype(np.float32))] * 8


def _least_squares(batches: list[tuple[Array, Array]]) -> Array:
    x, y = (np.concatenate(parts).astype(np.float64) for parts in zip(*batches, strict=True))
    return np.linalg.lstsq(np.column_stack([x, np.ones(len(x))]), y[:, 0])[0]
