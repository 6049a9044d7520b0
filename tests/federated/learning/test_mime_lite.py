"""MimeLite against the same by hand."""

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

ETA, MU, RHO = 0.05, float(np.float32(0.9)), float(np.float32(0.8))
EPSILON = 0.1
OPTIMIZERS, ALGORITHMS = fed.learning.optimizers, fed.learning.algorithms


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("is_weighted", [True, False])
def test_clients_use_the_momentum_of_the_server(context: str, *, is_weighted: bool) -> None:
    model = linear_model()
    build = ALGORITHMS.build_weighted_mime_lite if is_weighted else ALGORITHMS.build_unweighted_mime_lite
    process = build(model, OPTIMIZERS.build_sgdm(ETA, momentum=MU))
    shares = [10.0, 7.0] if is_weighted else [1.0, 1.0]
    assert_rounds_are(process, context, _momentum_by_hand(model, shares))


def _momentum_by_hand(model: Any, shares: list[float]) -> Iterator[oracle.Weights]:
    x = first_weights(model)
    m = [np.zeros_like(value) for value in x]
    for _ in range(3):
        models = []
        for batches in CLIENTS:
            y = x
            for batch in batches:
                y = plus(y, plus(oracle.gradient(y, *batch), m, MU), -ETA)
            models.append(y)
        m = plus(mean([oracle.full_gradient(x, client) for client in CLIENTS], shares), m, MU)
        x = mean(models, shares)
        yield x


@pytest.mark.parametrize("context", CONTEXTS)
def test_the_statistics_of_a_client_are_forgotten_step_by_step(context: str) -> None:
    model = linear_model()
    process = ALGORITHMS.build_weighted_mime_lite(model, OPTIMIZERS.build_rmsprop(ETA, RHO, EPSILON))
    assert_rounds_are(process, context, _rmsprop_by_hand(model))


def _rmsprop_by_hand(model: Any) -> Iterator[oracle.Weights]:
    x = first_weights(model)
    v = [np.zeros_like(value) for value in x]
    for _ in range(3):
        models = []
        for batches in CLIENTS:
            y = x
            for batch in batches:
                g = oracle.gradient(y, *batch)
                y = plus(y, [gk / (np.sqrt(vk) + EPSILON) for gk, vk in zip(g, _moved(v, g), strict=True)], -ETA)
            models.append(y)
        v = _moved(v, mean([oracle.full_gradient(x, client) for client in CLIENTS], [10, 7]))
        x = mean(models, [10, 7])
        yield x


def _moved(v: oracle.Weights, g: oracle.Weights) -> oracle.Weights:
    return [RHO * vk + (1 - RHO) * gk * gk for vk, gk in zip(v, g, strict=True)]
