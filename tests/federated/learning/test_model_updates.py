"""Algorithms whose clients report more than a model's update: under other aggregators, and with odd clients."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import federated as fed
from tests.federated.learning.regression import CLIENTS, CONTEXTS, linear_model
from wire.tensors import Array

pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(300)]

ALGORITHMS, OPTIMIZERS, AGGREGATORS = fed.learning.algorithms, fed.learning.optimizers, fed.aggregators
SGD, MOMENTUM = OPTIMIZERS.build_sgdm(0.05), OPTIMIZERS.build_sgdm(0.05, momentum=0.5)
BUILDERS: dict[str, Callable[..., Any]] = {
    "FedNova": lambda model, **keywords: ALGORITHMS.build_fed_nova(model, MOMENTUM, **keywords),
    "MimeLite": lambda model, **keywords: ALGORITHMS.build_weighted_mime_lite(model, MOMENTUM, **keywords),
    "SCAFFOLD": lambda model, **keywords: ALGORITHMS.build_stateless_scaffold(model, SGD, **keywords),
}
UNIFORM = fed.learning.ClientWeighting.UNIFORM


@pytest.mark.parametrize("name", BUILDERS)
def test_clipping_bounds_the_model_and_leaves_the_rest_alone(name: str) -> None:
    """A bound that no model reaches changes nothing, though the gradients beside it are longer."""
    build, model = BUILDERS[name], linear_model()
    plain = _after(build(model), CLIENTS)
    clipped = build(model, model_aggregator=AGGREGATORS.clipping_factory(3.0, AGGREGATORS.MeanFactory()))
    _assert_close(_after(clipped, CLIENTS), plain)
    tight = build(model, model_aggregator=AGGREGATORS.clipping_factory(1e-6, AGGREGATORS.MeanFactory()))
    _assert_close(_after(tight, CLIENTS), model.initial_weights.trainable, 1e-5)


@pytest.mark.parametrize("name", BUILDERS)
def test_an_aggregator_without_weights_is_that_of_clients_that_count_as_one(name: str) -> None:
    build, model = BUILDERS[name], linear_model()
    unweighted = build(model, client_weighting=UNIFORM, model_aggregator=AGGREGATORS.UnweightedMeanFactory())
    _assert_close(_after(unweighted, CLIENTS), _after(build(model, client_weighting=UNIFORM), CLIENTS))


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("name", BUILDERS)
def test_a_client_without_examples_changes_nothing(name: str, context: str) -> None:
    process = BUILDERS[name](linear_model())
    with CONTEXTS[context]():
        _assert_close(_after(process, [*CLIENTS, []]), _after(process, CLIENTS))


@pytest.mark.parametrize("name", BUILDERS)
def test_statistics_of_a_model_are_averaged_in_the_plan_as_locally(name: str) -> None:
    import keras

    keras.utils.set_random_seed(4)
    layers = [keras.Input((2,)), keras.layers.BatchNormalization(momentum=0.5), keras.layers.Dense(1)]
    model = fed.learning.models.functional_model_from_keras(keras.Sequential(layers), "mean_squared_error")
    found = []
    for context in CONTEXTS.values():
        process = BUILDERS[name](model)
        with context():
            state = process.initialize()
            for _ in range(2):
                state = process.next(state, CLIENTS).state
        weights = process.get_model_weights(state)
        found.append([*weights.trainable, *weights.non_trainable])
    _assert_close(found[0], found[1], 1e-5)
    assert all(
        np.abs(value - first).max() > 1e-3
        for value, first in zip(weights.non_trainable, model.initial_weights.non_trainable, strict=True)
    )


def _after(process: Any, clients: Any, rounds: int = 2) -> list[Array]:
    state = process.initialize()
    for _ in range(rounds):
        state = process.next(state, clients).state
    weights: list[Array] = process.get_model_weights(state).trainable
    return weights


def _assert_close(found: list[Array], expected: list[Array], atol: float = 1e-6) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=atol)
