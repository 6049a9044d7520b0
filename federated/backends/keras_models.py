"""Keras models as functional ones, by the code that exports them for devices."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from federated.language.types import TensorType, to_type
from federated.learning.models import FunctionalModel, ModelWeights
from model_export import checked_model, losses, metrics, objective
from model_export.batch_moments import masked_moments
from model_export.errors import UnsupportedModelError
from wire.tensors import TensorSpec


def from_keras(keras_model: Any, loss_fn: Any, input_spec: Any, metric_fns: Sequence[Any]) -> FunctionalModel:
    """See `federated.learning.models.functional_model_from_keras`."""
    model = checked_model.check(keras_model)
    if model.draws:
        raise UnsupportedModelError(
            f"model {keras_model.name!r}",
            "it draws random numbers while it trains, and a functional model has no seed",
            "take its dropout and noise layers out, or train it as a task: `fedelta export`",
        )
    wanted = objective.resolve(
        keras_model, model.output, loss=loss_fn, optimizer_given="sgd", metrics_given=list(metric_fns)
    )
    x, y = _example(model.example), _example(wanted.label)
    if input_spec is not None:
        _check_spec(to_type(input_spec), x, y)

    def forward(trainable: list[Any], non_trainable: list[Any], inputs: Any, weight: Any) -> tuple[Any, list[Any]]:
        if weight is None:
            return model.apply(trainable, non_trainable, inputs, training=False).outputs, non_trainable
        with masked_moments(weight):
            found = model.apply(trainable, non_trainable, inputs, training=True)
        return found.outputs, list(found.statistics)

    def penalty(trainable: list[Any]) -> Any:
        regularised = zip(trainable, model.parameters, strict=True)
        terms = [one.original.regularizer(value) for value, one in regularised if one.original.regularizer is not None]
        return tf.add_n(terms)

    has_penalty = any(getattr(one.original, "regularizer", None) is not None for one in model.parameters)
    return FunctionalModel(
        ModelWeights([one.value for one in model.parameters], [one.value for one in model.statistics]),
        (x, y),
        forward,
        lambda labels, outputs: _per_example(losses.values_of(wanted.loss, labels, outputs)),
        {metric.name: _measured(metric) for metric in wanted.metrics},
        penalty if has_penalty else None,
        _classes(y, model.output.shape),
    )


def load_keras(path: Path) -> Any:
    """A model from a `.keras` file; one that would run code of the file's own is refused."""
    return keras.saving.load_model(path, compile=False, safe_mode=True)


def save_keras(path: Path, base: Path, trainable: Sequence[Any], non_trainable: Sequence[Any]) -> None:
    """Write the model of `base` with other weights."""
    model = load_keras(base)
    known = checked_model.check(model)
    for one, value in [
        *zip(known.parameters, trainable, strict=True),
        *zip(known.statistics, non_trainable, strict=True),
    ]:
        one.original.assign(value)
    model.save(path)


def _classes(label: TensorType, output: Sequence[int]) -> int | None:
    """Between how many classes an integer label chooses: as many as there are outputs, or two for one output."""
    is_choice = label.dtype.kind in "iu" and len(output) == 1 and label.shape == ()
    return max(int(output[-1]), 2) if is_choice else None


def _measured(metric: Any) -> Any:
    if not isinstance(metric, metrics.Mean):
        raise UnsupportedModelError(
            f"metric {metric.name!r}", "it is no mean over examples", "evaluate it with a task: `fedelta export`"
        )
    return lambda labels, outputs: _per_example(metric.on_device(labels, outputs))


def _per_example(values: Any) -> Any:
    """One value an example: the mean over all other axes, as Keras's is."""
    values = tf.cast(values, tf.float32)
    return tf.reduce_mean(values, list(range(1, values.shape.rank))) if values.shape.rank > 1 else values


def _example(spec: TensorSpec) -> TensorType:
    return TensorType(tf.as_dtype(spec.dtype).as_numpy_dtype, spec.shape)


def _check_spec(given: Any, x: TensorType, y: TensorType) -> None:
    leaves = list(given)
    for name, found, expected in zip("xy", leaves, (x, y), strict=False):
        if not isinstance(found, TensorType) or found.shape is None or tuple(found.shape[1:]) != expected.shape:
            raise UnsupportedModelError(
                f"input_spec's {name}", f"it is {found}", f"the model needs batches of {expected}"
            )
