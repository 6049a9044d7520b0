"""What a plan does with each group of tensors: parameters and statistics cross the network, slots never."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import model_export
from model_export.errors import SettingsError
from plans import bundle, manifest
from plans.manifest import Group, Kind, Order
from tests.model_export.rounds import Examples, Round
from tests.model_export.zoo import LOGITS, around, batch_of, frozen, mlp
from wire.tensors import Array, Tensors

pytestmark = pytest.mark.tensorflow

BATCH, RATE = 4, 0.05


def _normalised() -> Any:
    keras.utils.set_random_seed(3)
    return around(layers.Conv2D(4, 3), layers.BatchNormalization(momentum=0.8), layers.ReLU(), shape=(6, 6, 1))


def _plan(model: Any, **options: Any) -> Round:
    given = {"loss": LOGITS, "optimizer": RATE, "batch_size": BATCH, "name": "groups", "order": Order.STORED} | options
    return Round(model_export.learning_plan(model, **given))


def _group(round_: Round, group: Group) -> list[str]:
    return [name for name, tensor in round_.plan.manifest.state.items() if tensor.group is group]


class Reference:
    """Keras on the weights of a plan's state."""

    def __init__(self, model: Any, round_: Round) -> None:
        self.model, self.round = model, round_
        self._paths = {name: tensor.path for name, tensor in round_.plan.manifest.state.items()}

    def moved(self, state: Tensors, optimizer: Any, batches: list[tuple[Array, Array]]) -> dict[str, Array]:
        variables = {one.path: one for one in self.model.variables}
        before = self.model.get_weights()
        for name, path in self._paths.items():
            if path:
                variables[path].assign(state[name])
        self.model.compile(optimizer, LOGITS)
        for x, y in batches:
            self.model.train_on_batch(x, y)
        moved = {name: variables[path].numpy() for name, path in self._paths.items() if path}
        self.model.set_weights(before)
        return moved


@pytest.fixture(scope="module")
def normalised() -> tuple[Any, Round]:
    model = _normalised()
    return model, _plan(model)


@pytest.mark.parametrize("count", [BATCH, BATCH - 1])
def test_one_client_moves_statistics_as_keras_moves_them(normalised: Any, count: int) -> None:
    model, round_ = normalised
    batch = batch_of(model, count, 1)
    state, _ = round_.run(round_.plan.initial, [Examples(*batch)])
    expected = Reference(model, round_).moved(round_.plan.initial, keras.optimizers.SGD(RATE), [batch])
    assert len(_group(round_, Group.STATISTICS)) == 2
    for name, value in expected.items():
        np.testing.assert_allclose(state[name], value, rtol=0, atol=1e-6, err_msg=name)


def test_statistics_are_averaged_by_examples_whatever_the_server_learning_rate(normalised: Any) -> None:
    model, round_ = normalised
    slow = round_.plan.initial | {"server_learning_rate": np.array(0.5, np.float32)}
    batches = [batch_of(model, 4, 2), batch_of(model, 2, 3)]
    state, _ = round_.run(slow, [Examples(*batch) for batch in batches])
    reference = Reference(model, round_)
    one, other = (reference.moved(slow, keras.optimizers.SGD(RATE), [batch]) for batch in batches)
    for name in _group(round_, Group.STATISTICS):
        np.testing.assert_allclose(state[name], (4 * one[name] + 2 * other[name]) / 6, rtol=0, atol=1e-6)


def test_evaluation_takes_the_moving_statistics(normalised: Any) -> None:
    model, round_ = normalised
    x, y = batch_of(model, 2 * BATCH, 4)
    state = round_.plan.initial | {
        name: np.full_like(round_.plan.initial[name], 2) for name in _group(round_, Group.STATISTICS)
    }
    metrics = round_.measure(state, Examples(x, y))
    layer = model.layers[1]
    before = layer.get_weights()
    layer.set_weights([*before[:2], np.full(4, 2, np.float32), np.full(4, 2, np.float32)])
    expected = float(LOGITS(y, model(x, training=False)))
    layer.set_weights(before)
    assert metrics["loss_sum"] / metrics["loss_count"] == pytest.approx(expected, rel=1e-5)


def test_statistics_have_an_aggregation_of_their_own(normalised: Any) -> None:
    _, round_ = normalised
    delta, statistics = round_.train.aggregation
    assert (statistics.name, statistics.kind, statistics.weight) == ("statistics", Kind.MEAN, "statistics_weight")
    assert list(statistics.values) == _group(round_, Group.STATISTICS)
    assert list(delta.values) == _group(round_, Group.PARAMETERS)
    plan = bundle.unpack(bundle.pack(round_.plan))
    manifest.check_supported(plan.manifest)


def test_slots_stay_on_the_device_and_start_anew_in_every_round() -> None:
    model = mlp()
    round_ = _plan(model, optimizer=keras.optimizers.Adam(0.01))
    assert not _group(round_, Group.SLOTS)
    examples = Examples(*batch_of(model, 3 * BATCH, 5))
    first, _ = round_.run(round_.plan.initial, [examples])
    again, _ = round_.run(round_.plan.initial, [examples])
    x, y = batch_of(model, 3 * BATCH, 5)
    batches = [(x[start : start + BATCH], y[start : start + BATCH]) for start in range(0, 3 * BATCH, BATCH)]
    expected = Reference(model, round_).moved(round_.plan.initial, keras.optimizers.Adam(0.01), batches)
    for name, value in expected.items():
        np.testing.assert_array_equal(first[name], again[name], err_msg=name)
        np.testing.assert_allclose(first[name], value, rtol=0, atol=1e-5, err_msg=name)


def test_a_proximal_term_pulls_towards_the_broadcast() -> None:
    model = mlp()
    plain, proximal = _plan(model), _plan(model, proximal=0.0)
    examples = Examples(*batch_of(model, 4 * BATCH, 6))
    start = proximal.plan.initial

    def distance(mu: float) -> float:
        state, _ = proximal.run({**start, "proximal": np.array(mu, np.float32)}, [examples])
        names = _group(proximal, Group.PARAMETERS)
        return float(np.sqrt(sum(np.sum((state[name] - start[name]) ** 2) for name in names)))

    without, _ = plain.run(plain.plan.initial, [examples])
    same, _ = proximal.run(start, [examples])
    for name in _group(plain, Group.PARAMETERS):
        np.testing.assert_allclose(same[name], without[name], rtol=0, atol=1e-7)
    assert distance(0.0) > distance(1.0) > distance(5.0) > 0


def test_two_steps_of_fedprox_are_the_formula() -> None:
    """w₁ = w₀ − η ∇L(w₀) and w₂ = w₁ − η (∇L(w₁) + μ (w₁ − w₀)), the plain second step and the pull apart."""
    model = mlp()
    mu, round_ = 3.0, _plan(model, proximal=3.0)
    x, y = batch_of(model, 2 * BATCH, 7)
    batches = [(x[:BATCH], y[:BATCH]), (x[BATCH:], y[BATCH:])]
    reference, start = Reference(model, round_), round_.plan.initial
    first = reference.moved(start, keras.optimizers.SGD(RATE), batches[:1])
    plain = reference.moved(start, keras.optimizers.SGD(RATE), batches)
    state, _ = round_.run(start, [Examples(x, y)])
    for name, value in plain.items():
        expected = value - RATE * mu * (first[name] - start[name])
        np.testing.assert_allclose(state[name], expected, rtol=0, atol=1e-6, err_msg=name)


def test_a_proximal_term_is_not_negative() -> None:
    with pytest.raises(SettingsError, match="proximal"):
        _plan(mlp(), proximal=-1.0)


def test_frozen_weights_are_constants_of_the_file_and_never_exchanged() -> None:
    model = frozen()
    round_ = _plan(model)
    assert not _group(round_, Group.STATISTICS)
    exchanged = {round_.plan.manifest.state[name].path for name in _group(round_, Group.PARAMETERS)}
    assert exchanged == {variable.path for layer in model.layers[2:] for variable in layer.weights}
    batch = batch_of(model, BATCH, 8)
    state, _ = round_.run(round_.plan.initial, [Examples(*batch)])
    expected = Reference(model, round_).moved(round_.plan.initial, keras.optimizers.SGD(RATE), [batch])
    for name, value in expected.items():
        np.testing.assert_allclose(state[name], value, rtol=0, atol=1e-6, err_msg=name)


def test_random_layers_draw_from_the_seed_of_the_assignment() -> None:
    model = around(layers.Dense(16), layers.Dropout(0.5))
    round_ = _plan(model)
    assert round_.train.seed == "seed"
    examples = Examples(*batch_of(model, 2 * BATCH, 9))
    runs = [round_.run(round_.plan.initial, [examples], seed=seed)[0] for seed in (1, 1, 2)]
    name = _group(round_, Group.PARAMETERS)[0]
    np.testing.assert_array_equal(runs[0][name], runs[1][name])
    assert np.abs(runs[0][name] - runs[2][name]).max() > 1e-4
    assert round_.measure(round_.plan.initial, examples) == round_.measure(round_.plan.initial, examples)
