"""A learning process gives the same model on devices as in the plan context, short last batches included."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import federated as fed
from tests.processes.federation import Federation
from wire.tensors import Array

pytestmark = [pytest.mark.processes, pytest.mark.tensorflow, pytest.mark.timeout(300)]

BATCH_SIZE = 4
ALGORITHMS, OPTIMIZERS = fed.learning.algorithms, fed.learning.optimizers
TOP_ONE = fed.aggregators.MeanFactory(fed.aggregators.TopKFactory(0.1, error_feedback=True))
BUILDERS: dict[str, Callable[[Any], Any]] = {
    "FedAvg with momentum": lambda model: ALGORITHMS.build_weighted_fed_avg(
        model, OPTIMIZERS.build_sgdm(0.1), OPTIMIZERS.build_sgdm(1.0, momentum=0.5)
    ),
    "FedNova": lambda model: ALGORITHMS.build_fed_nova(model, OPTIMIZERS.build_sgdm(0.1, momentum=0.5)),
    "MimeLite": lambda model: ALGORITHMS.build_weighted_mime_lite(model, OPTIMIZERS.build_adam(0.1)),
    "SCAFFOLD": lambda model: ALGORITHMS.build_stateless_scaffold(model, OPTIMIZERS.build_sgdm(0.1)),
    "Ditto": lambda model: ALGORITHMS.build_ditto(model, 0.5, OPTIMIZERS.build_sgdm(0.1)),
    "SCAFFOLD with memory": lambda model: ALGORITHMS.build_scaffold(model, OPTIMIZERS.build_sgdm(0.1), num_clients=2),
    "top-k with error feedback": lambda model: ALGORITHMS.build_weighted_fed_avg(
        model, OPTIMIZERS.build_sgdm(0.1), model_aggregator=TOP_ONE
    ),
    "a schedule": lambda model: ALGORITHMS.build_weighted_fed_avg_with_optimizer_schedule(
        model, lambda t: 0.1 * 0.5**t, client_weighting=lambda metrics: metrics["loss"]
    ),
}


@pytest.mark.parametrize("name", BUILDERS)
def test_an_algorithm_on_devices_is_the_algorithm_here(name: str, federation: Federation) -> None:
    import keras

    keras.utils.set_random_seed(1)
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model = fed.learning.models.functional_model_from_keras(network, "mean_squared_error")
    process = BUILDERS[name](model)
    clients = [_examples(seed, count) for seed, count in ((1, 10), (2, 7))]
    for number, examples in enumerate(clients):
        federation.start_device(federation.enrol(f"device-{number}", examples, collection="measurements"))
    bind = {"data": fed.on_device("measurements", batch_size=BATCH_SIZE, weight="weight")}
    first = process.initialize()
    with fed.plan_context(), fed.simulation.DeviceStates().of(["first", "second"]):
        expected = _rounds(process, first, [_batches(examples) for examples in clients])
    with fed.fleet_context(federation.url, api_key=federation.api_key, bind=bind, timeout_seconds=60):
        found = _rounds(process, first)
    for (here, measured), (devices, reported) in zip(expected, found, strict=True):
        for one, other in zip(devices, here, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-6)
        assert reported["num_examples"] == 17
        for metric, value in measured.items():
            np.testing.assert_allclose(reported[metric], value, rtol=1e-6)


def _rounds(process: Any, state: Any, *clients: Any) -> list[tuple[list[Array], dict[str, Any]]]:
    """The model and the metrics after each of three rounds."""
    found = []
    for _ in range(3):
        state, metrics = process.next(state, *clients)
        found.append((process.get_model_weights(state).trainable, metrics["client_work"]["train"]))
    return found


def _examples(seed: int, count: int) -> dict[str, Array]:
    x = np.random.default_rng(seed).normal(size=(count, 2)).astype(np.float32)
    return {"x": x, "y": (x @ np.array([[1], [-2]], np.float32) + np.float32(0.5)).astype(np.float32)}


def _batches(examples: dict[str, Array]) -> list[tuple[Array, Array]]:
    x, y = examples["x"], examples["y"]
    return [(x[start : start + BATCH_SIZE], y[start : start + BATCH_SIZE]) for start in range(0, len(x), BATCH_SIZE)]
