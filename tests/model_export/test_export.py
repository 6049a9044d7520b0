"""An exported model computes what the Keras model computes, step for step."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import pytest

import model_export
from model_export import ExportedModel
from plans.program import Program
from tests.model_export.zoo import BASIC as ZOO
from tests.model_export.zoo import batch_of, mlp
from wire.tensors import Array

pytestmark = pytest.mark.tensorflow

BATCH, STEPS = 6, 8
FULL = np.ones([BATCH], np.float32)


class Exported:
    """A compiled Keras model beside its export."""

    def __init__(self, name: str) -> None:
        self.keras = ZOO[name].model()
        self.keras.compile(keras.optimizers.SGD(0.05), ZOO[name].loss, metrics=["accuracy"])
        self.file: ExportedModel = model_export.export_model(self.keras, batch_size=BATCH, metrics=("accuracy",))
        self.program = Program(self.file.tflite)

    def synchronise(self) -> None:
        self.program.call("restore", **self.weights())

    def weights(self) -> Mapping[str, Array]:
        return dict(zip(self.file.parameters, self.keras.get_weights(), strict=True))

    def saved(self) -> Mapping[str, Array]:
        return self.program.call("save", flag=np.ones([1], np.float32))


@pytest.fixture(scope="module", params=ZOO)
def exported(request: Any) -> Exported:
    return Exported(request.param)


def _assert_same(found: Mapping[str, Array], expected: Mapping[str, Array]) -> None:
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-6, err_msg=name)


def test_every_step_moves_the_parameters_as_keras_moves_them(exported: Exported) -> None:
    for step in range(STEPS):
        x, y = batch_of(exported.keras, BATCH, step)
        exported.synchronise()
        loss = exported.program.call("train", x=x, y=y, weight=FULL)["loss"]
        exported.keras.reset_metrics()
        expected = exported.keras.train_on_batch(x, y, return_dict=True)
        np.testing.assert_allclose(loss, [expected["loss"]], rtol=1e-6)
        _assert_same(exported.saved(), exported.weights())


def test_a_short_batch_is_the_same_step_whatever_the_padding_holds(exported: Exported) -> None:
    x, y = batch_of(exported.keras, BATCH, 100)
    weight = (np.arange(BATCH) < 2).astype(np.float32)
    x[2:] = 255 if x.dtype == np.uint8 else 3e38
    y[2:] = -1
    exported.synchronise()
    exported.program.call("train", x=x, y=y, weight=weight)
    exported.keras.train_on_batch(x[:2], y[:2])
    _assert_same(exported.saved(), exported.weights())


def test_a_batch_of_nothing_but_padding_changes_nothing(exported: Exported) -> None:
    x, y = batch_of(exported.keras, BATCH, 101)
    exported.synchronise()
    assert exported.program.call("train", x=x, y=y, weight=0 * FULL)["loss"] == 0
    _assert_same(exported.saved(), exported.weights())


def test_evaluation_gives_the_sums_of_what_keras_averages(exported: Exported) -> None:
    x, y = batch_of(exported.keras, BATCH, 102)
    exported.synchronise()
    found = exported.program.call("evaluate", x=x, y=y, weight=FULL)
    expected = exported.keras.evaluate(x, y, batch_size=BATCH, verbose=0, return_dict=True)
    assert {name: value.shape for name, value in found.items()} == dict.fromkeys(
        ("loss_sum", "loss_count", "accuracy_sum", "accuracy_count"), (1,)
    )
    for metric, value in expected.items():
        np.testing.assert_allclose(found[f"{metric}_sum"] / found[f"{metric}_count"], [value], rtol=1e-5)


def test_inference_gives_the_output_of_keras(exported: Exported) -> None:
    x, _ = batch_of(exported.keras, BATCH, 103)
    exported.synchronise()
    np.testing.assert_allclose(exported.program.call("infer", x=x)["output"], exported.keras(x), rtol=0, atol=1e-6)


def test_the_file_starts_with_the_values_of_the_model(exported: Exported) -> None:
    model = keras.models.clone_model(exported.keras)
    fresh = model_export.export_model(model, loss=exported.keras.loss, optimizer="sgd", batch_size=2)
    saved = Program(fresh.tflite).call("save", flag=np.ones([1], np.float32))
    for value, name in zip(model.get_weights(), fresh.parameters, strict=True):
        np.testing.assert_array_equal(saved[name], value)


def test_exporting_leaves_the_model_as_it_was() -> None:
    model = mlp()
    before = model.get_weights()
    model_export.export_model(
        model, loss="sparse_categorical_crossentropy_from_logits", optimizer=0.5, batch_size=3, metrics=("accuracy",)
    )
    for value, kept in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, kept)


def test_parameters_are_named_in_layer_order_and_map_to_keras() -> None:
    exported = model_export.export_model(mlp(), loss=ZOO["mlp"].loss, optimizer="sgd", batch_size=2)
    names = ("p000_hidden_kernel", "p001_hidden_bias", "p002_logits_kernel", "p003_logits_bias")
    assert exported.parameters == names == tuple(sorted(names))
    assert exported.paths["p000_hidden_kernel"].endswith("hidden/kernel")


def test_the_same_model_exports_to_the_same_bytes() -> None:
    model = mlp()
    files = [
        model_export.export_model(model, loss=ZOO["mlp"].loss, optimizer="sgd", batch_size=2).tflite for _ in range(2)
    ]
    assert files[0] == files[1]


def test_examples_of_padding_cannot_make_a_vector_of_nothing_to_normalise() -> None:
    """The cosine of a vector of zeros has no gradient; a model without biases makes one of zeros."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, use_bias=False)])
    model.compile(keras.optimizers.SGD(0.1), keras.losses.CosineSimilarity())
    exported = model_export.export_model(model, batch_size=4)
    program = Program(exported.tflite)
    random = np.random.default_rng(1)
    x, y = (random.standard_normal([4, size]).astype(np.float32) for size in (4, 3))
    x[2:], y[2:] = 0, 0
    program.call("train", x=x, y=y, weight=np.array([1, 1, 0, 0], np.float32))
    model.train_on_batch(x[:2], y[:2])
    (found,) = program.call("save", flag=np.ones([1], np.float32)).values()
    np.testing.assert_allclose(found, model.get_weights()[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["nadam", "adam", "lion"])
def test_the_same_export_is_the_same_file_whatever_was_made_before(optimizer: str) -> None:
    model, loss = mlp(), "sparse_categorical_crossentropy_from_logits"
    files = [
        model_export.export_model(model, loss=loss, optimizer=optimizer, batch_size=2).tflite for _ in ("one", "other")
    ]
    assert files[0] == files[1]
