"""SCAFFOLD with and without memory at clients: against the same by hand, and at rest where FedAvg is not."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import federated as fed
from tests.federated.learning import oracle
from tests.federated.learning.regression import (
    CLIENTS,
    COHORTS,
    CONTEXTS,
    REMEMBERING,
    assert_remembering_rounds_are,
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


@pytest.mark.parametrize("context", CONTEXTS)
def test_clients_correct_their_steps_by_what_they_kept(context: str) -> None:
    model = linear_model()
    process = ALGORITHMS.build_scaffold(model, build_sgdm(ETA), num_clients=3)
    controls = {name: [value * 0 for value in first_weights(model)] for name in REMEMBERING}
    states, _ = assert_remembering_rounds_are(process, context, _with_memory(model, controls))
    for name, c_i in controls.items():
        kept = states.read(process.next_computation.__name__, name)
        assert kept is not None
        for found, value in zip(kept.values(), c_i, strict=True):
            np.testing.assert_allclose(found, value, atol=1e-5)  # a difference of models, divided by K η


def _with_memory(model: Any, controls: dict[str, oracle.Weights]) -> Iterator[oracle.Weights]:
    """Algorithm 1 with option II; `controls` has the clients' c_i."""
    x = first_weights(model)
    c = [value * 0 for value in x]
    for cohort in COHORTS:
        models, changes = [], []
        for name in cohort:
            c_i, y = controls[name], x
            for batch in REMEMBERING[name]:
                y = plus(y, plus(plus(oracle.gradient(y, *batch), c_i, -1), c), -ETA)
            new = plus(plus(c_i, c, -1), plus(x, y, -1), 1 / (len(REMEMBERING[name]) * ETA))
            models.append(y)
            changes.append(plus(new, c_i, -1))
            controls[name] = new
        x = mean(models, [1, 1])
        c = plus(c, mean(changes, [1, 1]), len(cohort) / len(REMEMBERING))
        yield x


def test_a_client_without_batches_keeps_its_control() -> None:
    process = ALGORITHMS.build_scaffold(linear_model(), build_sgdm(ETA), num_clients=2)
    states, kept = fed.simulation.DeviceStates(), []
    with states.of(["a", "b"]):
        state = process.initialize()
        for data in ([CLIENTS[0], CLIENTS[1]], [CLIENTS[0], []]):
            state = process.next(state, data).state
            kept.append(states.read(process.next_computation.__name__, "b"))
    assert kept[0] is not None
    assert kept[1] is not None
    assert all(np.array_equal(kept[0][name], kept[1][name]) for name in kept[0])
    assert any(np.any(value) for value in kept[0].values())


@pytest.mark.parametrize("optimizer", [build_sgdm(0.1, momentum=0.9), fed.learning.optimizers.build_adam(0.1)])
def test_other_clients_optimizers_are_refused(optimizer: Any) -> None:
    with pytest.raises(fed.MisuseError, match="without momentum"):
        ALGORITHMS.build_scaffold(linear_model(), optimizer, num_clients=3)


def test_it_comes_to_rest_at_the_optimum_and_federated_averaging_beside_it() -> None:
    """Two clients that want other models, with eight steps a round."""
    clients = [_client(1, [1.0, -2.0]), _client(2, [-3.0, 4.0])]
    optimum = _least_squares([batch for client in clients for batch in client[:1]])
    found = {}
    built = {
        "averaging": ALGORITHMS.build_weighted_fed_avg(linear_model(), build_sgdm(0.1)),
        "without memory": ALGORITHMS.build_stateless_scaffold(linear_model(), build_sgdm(0.1)),
        "with memory": ALGORITHMS.build_scaffold(linear_model(), build_sgdm(0.1), num_clients=2),
    }
    for name, process in built.items():
        with fed.simulation.DeviceStates().of(["a", "b"]):
            state = process.initialize()
            for _ in range(160):
                state = process.next(state, clients).state
        kernel, bias = process.get_model_weights(state).trainable
        found[name] = np.abs(np.concatenate([kernel[:, 0], bias]) - optimum).max()
    assert found["averaging"] > 0.1
    assert found["without memory"] < 1e-3
    assert found["with memory"] < 1e-3


def _client(seed: int, slope: list[float]) -> list[tuple[Array, Array]]:
    random = np.random.default_rng(seed)
    x = (random.normal(size=(8, 2)) * ([1.0, 0.3] if seed == 1 else [0.3, 1.0])).astype(np.float32)
    return [(x, (x @ np.array(slope)[:, None]).astype(np.float32))] * 8


def _least_squares(batches: list[tuple[Array, Array]]) -> Array:
    x, y = (np.concatenate(parts).astype(np.float64) for parts in zip(*batches, strict=True))
    return np.linalg.lstsq(np.column_stack([x, np.ones(len(x))]), y[:, 0])[0]
