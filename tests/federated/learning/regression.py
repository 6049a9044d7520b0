"""Linear regression on two clients of unlike size, on which every algorithm is compared with the same by hand."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

import federated as fed
from tests.federated.learning import oracle
from wire.tensors import Array

CONTEXTS: dict[str, Callable[[], AbstractContextManager[Any]]] = {"local": fed.local_context, "plan": fed.plan_context}


def clients() -> list[list[tuple[Array, Array]]]:
    """Two clients of 10 and 7 examples in batches of 4, the last ones short."""
    random = np.random.default_rng(7)

    def client(count: int) -> list[tuple[Array, Array]]:
        x = random.normal(size=(count, 2)).astype(np.float32)
        y = (x @ np.array([[1.0], [-2.0]]) + 0.5 + 0.1 * random.normal(size=(count, 1))).astype(np.float32)
        return [(x[start : start + 4], y[start : start + 4]) for start in range(0, count, 4)]

    return [client(10), client(7)]


CLIENTS = clients()


def linear_model() -> Any:
    """y = x w + b."""
    import keras

    keras.utils.set_random_seed(3)
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    return fed.learning.models.functional_model_from_keras(network, keras.losses.MeanSquaredError())


def first_weights(model: Any) -> oracle.Weights:
    """What training starts from, in float64."""
    return [np.asarray(value, np.float64) for value in model.initial_weights.trainable]


def assert_rounds_are(
    process: Any, context: str, by_hand: Iterable[oracle.Weights], data: Sequence[Any] = CLIENTS
) -> tuple[Any, Any]:
    """Run a round for each of the models given, and hold it to that; the last state and metrics."""
    with CONTEXTS[context]():
        state, metrics = process.initialize(), None
        for expected in by_hand:
            state, metrics = process.next(state, data)
            for found, value in zip(process.get_model_weights(state).trainable, expected, strict=True):
                np.testing.assert_allclose(found, value, atol=1e-6)
    return state, metrics


COHORTS = (["a", "b"], ["c", "a"], ["b", "c"], ["a", "c"])
"""Who takes part in which round, of the clients of `REMEMBERING`."""

REMEMBERING = {"a": CLIENTS[0], "b": CLIENTS[1], "c": [CLIENTS[0][2], CLIENTS[1][0]]}
"""Three clients of 10, 7 and 6 examples, for algorithms whose clients keep something."""


def assert_remembering_rounds_are(
    process: Any, context: str, by_hand: Iterable[oracle.Weights]
) -> tuple[fed.simulation.DeviceStates, Any]:
    """As `assert_rounds_are`, over `COHORTS`; what the clients keep, and the last metrics."""
    states = fed.simulation.DeviceStates()
    with CONTEXTS[context]():
        state, metrics = process.initialize(), None
        for cohort, expected in zip(COHORTS, by_hand, strict=True):
            with states.of(cohort):
                state, metrics = process.next(state, [REMEMBERING[name] for name in cohort])
            for found, value in zip(process.get_model_weights(state).trainable, expected, strict=True):
                np.testing.assert_allclose(found, value, atol=1e-6)
    return states, metrics


def plus(weights: oracle.Weights, step: Iterable[Array], scale: float = 1.0) -> oracle.Weights:
    """w + scale · step."""
    return [w + scale * s for w, s in zip(weights, step, strict=True)]


def mean(values: Sequence[oracle.Weights], shares: Sequence[float]) -> oracle.Weights:
    """Σ p v / Σ p."""
    return [np.average([value[k] for value in values], axis=0, weights=shares) for k in range(len(values[0]))]
