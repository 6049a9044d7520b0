"""Losses, labels and metrics mean what they mean in `model.compile`."""

from typing import Any

import keras
import numpy as np
import pytest

import model_export
from model_export import losses, metrics, optimizer
from model_export.errors import UnsupportedModelError
from plans.program import Program
from tests.model_export.architectures import autoencoder
from tests.model_export.zoo import LOSSES, Entry, mlp, sequence_tags
from wire.tensors import TensorSpec

pytestmark = pytest.mark.tensorflow

BATCH = 6
ENTRIES = {
    **LOSSES,
    "sequences": Entry(sequence_tags, metrics=("accuracy", "sparse_categorical_accuracy")),
    "images": Entry(autoencoder, keras.losses.BinaryCrossentropy(), metrics=("mae", "mse")),
}


@pytest.mark.parametrize("name", ENTRIES)
def test_an_evaluation_sums_what_keras_averages(name: str) -> None:
    entry = ENTRIES[name]
    model = entry.model()
    file = model_export.export_model(
        model, loss=entry.loss, optimizer="sgd", batch_size=BATCH, metrics=entry.metrics
    ).tflite
    x, y = entry.batch(model, BATCH, 1)
    count = BATCH - 2
    weight = (np.arange(BATCH) < count).astype(np.float32)
    found = Program(file).call("evaluate", x=x, y=y, weight=weight)
    model.compile("sgd", entry.loss, metrics=list(entry.metrics))
    expected = model.evaluate(x[:count], y[:count], batch_size=count, verbose=0, return_dict=True)
    assert {f"{key}_sum" for key in expected} | {f"{key}_count" for key in expected} == set(found)
    for key, value in expected.items():
        assert found[f"{key}_count"] == count
        np.testing.assert_allclose(found[f"{key}_sum"] / count, [value], rtol=1e-5, atol=1e-6, err_msg=key)


def test_examples_count_by_their_weight() -> None:
    entry = LOSSES["mse"]
    model = entry.model()
    model.compile(keras.optimizers.SGD(0.05), entry.loss)
    program = Program(model_export.export_model(model, batch_size=BATCH).tflite)
    x, y = entry.batch(model, BATCH, 2)
    weight = np.array([1, 2, 0, 0.5, 3, 1.5], np.float32)
    program.call("train", x=x, y=y, weight=weight)
    # Keras divides the weighted sum by the size of the batch; the mean of weighted examples by the sum of the weights.
    model.train_on_batch(x, y, sample_weight=weight * BATCH / weight.sum())
    saved = program.call("save", flag=np.ones([1], np.float32))
    for name, value in zip(sorted(saved), model.get_weights(), strict=True):
        np.testing.assert_allclose(saved[name], value, rtol=0, atol=1e-6)


LABELS: dict[str, tuple[str, tuple[int, ...], TensorSpec]] = {
    "classes": ("sparse_categorical_crossentropy_from_logits", (5,), TensorSpec("int32", ())),
    "classes of a sequence": ("sparse_categorical_crossentropy", (7, 5), TensorSpec("int32", (7,))),
    "one hot": ("categorical_crossentropy_from_logits", (5,), TensorSpec("float32", (5,))),
    "binary": ("binary_crossentropy", (1,), TensorSpec("float32", (1,))),
    "an image": ("mean_squared_error", (8, 8, 3), TensorSpec("float32", (8, 8, 3))),
}


@pytest.mark.parametrize("case", LABELS)
def test_labels_follow_the_loss(case: str) -> None:
    name, output, expected = LABELS[case]
    assert losses.labels_of(losses.resolve(name)).spec(TensorSpec("float32", output)) == expected


ACCURACIES: dict[str, tuple[tuple[int, ...], tuple[int, ...], Any]] = {
    "binary": ((1,), (1,), keras.metrics.binary_accuracy),
    "sparse": ((), (5,), keras.metrics.sparse_categorical_accuracy),
    "sparse sequence": ((7,), (7, 5), keras.metrics.sparse_categorical_accuracy),
    "categorical": ((5,), (5,), keras.metrics.categorical_accuracy),
}


@pytest.mark.parametrize("case", ACCURACIES)
def test_accuracy_is_what_keras_makes_of_it(case: str) -> None:
    label, output, function = ACCURACIES[case]
    metric = metrics.resolve("accuracy", TensorSpec("float32", label), TensorSpec("float32", output))
    assert metric.in_keras.func is function  # type: ignore[attr-defined]  # a mean's, and a functools.partial


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "adagrad", "rmsprop", "yogi", "nadam", "lion"])
def test_an_optimizer_may_be_named_and_given_a_rate(name: str) -> None:
    made = optimizer.with_rate(name, 0.25)
    assert optimizer.rate_of(made) == 0.25
    assert type(made).__name__.lower() == name


@pytest.mark.parametrize("spared", ["bias", "hidden"])
def test_weights_spared_from_decay_stay_spared(spared: str) -> None:
    model = mlp()
    rule = keras.optimizers.AdamW(0.01, weight_decay=0.5)
    chosen = [one for one in model.trainable_variables if spared in one.path]
    rule.exclude_from_weight_decay(var_list=chosen)
    program = Program(
        model_export.export_model(
            model, loss="sparse_categorical_crossentropy_from_logits", optimizer=rule, batch_size=2
        ).tflite
    )
    before = program.call("save", flag=np.ones([1], np.float32))
    nothing = {"x": np.zeros([2, 12], np.float32), "y": np.zeros([2], np.int32), "weight": np.zeros([2], np.float32)}
    program.call("train", **nothing)
    after = program.call("save", flag=np.ones([1], np.float32))
    for index, variable in enumerate(model.trainable_variables):
        name = sorted(name for name in before if name.startswith("p"))[index]
        assert np.array_equal(before[name], after[name]) == (
            any(variable is one for one in chosen) or not before[name].any()
        ), name


def test_a_metric_that_sorts_classes_by_number_is_refused() -> None:
    metric = keras.metrics.SparseTopKCategoricalAccuracy(2, from_sorted_ids=True)
    with pytest.raises(UnsupportedModelError, match="numbers of classes"):
        metrics.resolve(metric, TensorSpec("int32", ()), TensorSpec("float32", (5,)))
