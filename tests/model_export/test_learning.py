"""A learning plan is one round of federated averaging: one client and one step are a step of SGD."""

from typing import Any

import keras
import numpy as np
import pytest

import model_export
from plans import bundle, manifest, server
from plans.errors import UnfitExamplesError
from plans.manifest import Kind, Order
from tests.model_export.rounds import Examples, Round
from tests.model_export.zoo import BASIC as ZOO
from tests.model_export.zoo import batch_of
from wire.tensors import Array, Tensors

pytestmark = pytest.mark.tensorflow

BATCH = 4
RATE = 0.05


@pytest.fixture(scope="module", params=["mlp", "cnn_max", "probabilities"])
def model(request: Any) -> Any:
    model = ZOO[request.param].model()
    model.compile(keras.optimizers.SGD(RATE), ZOO[request.param].loss, metrics=["accuracy"])
    return model


@pytest.fixture(scope="module")
def round_(model: Any) -> Round:
    return Round(model_export.learning_plan(model, name="zoo", batch_size=BATCH))


def _keras_step(model: Any, x: Array, y: Array, state: Tensors) -> list[Array]:
    parameters = [value for name, value in sorted(state.items()) if name.startswith("p0")]
    model.set_weights(parameters)
    model.train_on_batch(x, y)
    moved: list[Array] = model.get_weights()
    model.set_weights(parameters)
    return moved


def _parameters(state: Tensors) -> list[Array]:
    return [state[name] for name in sorted(state) if name.startswith("p0")]


@pytest.mark.parametrize("count", [BATCH, BATCH - 1])
def test_one_client_and_one_step_are_one_step_of_sgd(round_: Round, model: Any, count: int) -> None:
    x, y = batch_of(model, count, 0)
    state, (result,) = round_.run(round_.plan.initial, [Examples(x, y)])
    for found, expected in zip(_parameters(state), _keras_step(model, x, y, round_.plan.initial), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    assert result.update["weight"] == count
    assert result.metrics["loss_count"] == count


def test_two_clients_are_averaged_by_their_examples(round_: Round, model: Any) -> None:
    first, second = batch_of(model, 4, 1), batch_of(model, 1, 2)
    state, _ = round_.run(round_.plan.initial, [Examples(*first), Examples(*second)])
    moved = [_keras_step(model, *batch, round_.plan.initial) for batch in (first, second)]
    for found, one, other in zip(_parameters(state), *moved, strict=True):
        np.testing.assert_allclose(found, 0.8 * one + 0.2 * other, rtol=0, atol=1e-6)


def test_a_round_in_which_nobody_has_examples_keeps_the_state(round_: Round, model: Any) -> None:
    x, y = batch_of(model, 0, 3)
    state, _ = round_.run(round_.plan.initial, [Examples(x, y)])
    for name, value in round_.plan.initial.items():
        np.testing.assert_array_equal(state[name], value, err_msg=name)


def test_a_client_starts_every_round_from_the_broadcast(round_: Round, model: Any) -> None:
    examples = Examples(*batch_of(model, 3 * BATCH, 4))
    first, _ = round_.run(round_.plan.initial, [examples])
    again, _ = round_.run(round_.plan.initial, [examples])
    for name, value in first.items():
        np.testing.assert_array_equal(again[name], value, err_msg=name)


def test_the_learning_rates_are_state_that_a_checkpoint_may_change(round_: Round, model: Any) -> None:
    examples = Examples(*batch_of(model, BATCH, 5))
    initial = dict(round_.plan.initial)
    halved = initial | {"client_learning_rate": np.array(RATE / 2, np.float32)}
    slower = initial | {"server_learning_rate": np.array(0.5, np.float32)}
    for one, other in zip(
        _parameters(round_.run(halved, [examples])[0]), _parameters(round_.run(slower, [examples])[0]), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)


def test_evaluation_averages_over_every_example_of_a_client(round_: Round, model: Any) -> None:
    x, y = batch_of(model, 2 * BATCH + 1, 6)
    metrics = round_.measure(round_.plan.initial, Examples(x, y))
    model.set_weights(_parameters(round_.plan.initial))
    expected = model.evaluate(x, y, batch_size=len(y), verbose=0, return_dict=True)
    for name, value in expected.items():
        assert metrics[f"{name}_sum"] / metrics[f"{name}_count"] == pytest.approx(value, rel=1e-5)


def test_training_does_not_disturb_a_running_evaluation(round_: Round, model: Any) -> None:
    x, y = batch_of(model, BATCH, 7)
    alone = round_.measure(round_.plan.initial, Examples(x, y))
    round_.run(round_.plan.initial, [Examples(x, y)])
    assert round_.measure(round_.plan.initial, Examples(x, y)) == alone


def test_two_state_tensors_of_equal_value_keep_their_names(round_: Round) -> None:
    state = {name: np.full_like(value, 3) for name, value in round_.plan.initial.items()}
    state["client_learning_rate"] = np.array(9, np.float32)
    broadcast = server.prepare(round_.server, round_.plan.manifest, round_.train, state).broadcast
    assert set(broadcast) == set(round_.train.broadcast)
    assert broadcast.pop("learning_rate") == 9
    assert all(np.all(value == 3) for value in broadcast.values())


def test_a_plan_survives_being_packed(round_: Round) -> None:
    data = bundle.pack(round_.plan)
    plan = bundle.unpack(data)
    manifest.check_supported(plan.manifest)
    assert plan.manifest == round_.plan.manifest
    assert bundle.pack(plan) == data


def test_a_plan_says_what_crosses_the_network(model: Any) -> None:
    plan = model_export.learning_plan(
        model, name="zoo", batch_size=BATCH, epochs=3, collection="digits", server_learning_rate=0.5
    )
    train = plan.manifest.work("train")
    (entry,), (one,) = train.aggregation, train.passes
    selector = one.selector
    assert (entry.kind, entry.weight, set(entry.values) | {"weight"}) == (Kind.MEAN, "weight", set(train.update))
    assert (selector.collection, selector.epochs, selector.order) == ("digits", 3, Order.SHUFFLED)
    assert plan.manifest.type.endswith("*}@CLIENTS -> " + plan.manifest.type[1:].split("@SERVER")[0] + "@SERVER)")
    assert plan.initial["server_learning_rate"] == np.float32(0.5)


def test_a_label_that_is_no_class_is_refused_and_teaches_nothing(round_: Round, model: Any) -> None:
    x, y = batch_of(model, BATCH, 0)
    last = model.output_shape[-1] - 1
    for label in (-1, last + 1):
        odd = np.where(np.arange(BATCH) == 2, label, y).astype(np.int32)
        with pytest.raises(UnfitExamplesError, match=f"holds values outside 0 to {last}"):
            round_.run(round_.plan.initial, [Examples(x, odd)])
