"""Metrics: values of examples that are summed and counted, so that any number of devices can be averaged.

What is not such a mean is refused: a precision or a root of a mean cannot be put together from the devices' own, and an
area under a curve needs a histogram, which `<metric>_sum` and `<metric>_count` (two scalars) do not hold.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import keras
import tensorflow as tf

from model_export.errors import UnsupportedModelError
from model_export.names import slug
from wire.tensors import TensorSpec

Values = Callable[[Any, Any], Any]  # (labels [batch, ...], outputs [batch, ...]) -> [batch, ...]
_REMEDY = "use a metric that is a mean over examples, its name, or a function with one value an example"


@dataclass(frozen=True)
class Metric:
    """A metric: the name in the file, what a device computes, and Keras's own function that it is held against."""

    name: str
    values: Values
    in_keras: Values


def _sparse_categorical_accuracy(labels: Any, outputs: Any) -> Any:
    """1 where the first largest output is the label's, else 0."""
    return tf.cast(tf.equal(tf.argmax(outputs, -1, output_type=tf.int32), tf.cast(labels, tf.int32)), tf.float32)


def _categorical_accuracy(labels: Any, outputs: Any) -> Any:
    return _sparse_categorical_accuracy(tf.argmax(labels, -1, output_type=tf.int32), outputs)


def _sparse_top_k(labels: Any, outputs: Any, k: int = 5) -> Any:
    """1 where fewer than k outputs are larger than the label's, else 0: ties count, as in TensorFlow's `in_top_k`."""
    one_hot = tf.one_hot(tf.cast(labels, tf.int32), outputs.shape[-1], dtype=outputs.dtype)
    own = tf.reduce_sum(one_hot * outputs, -1, keepdims=True)
    larger = tf.reduce_sum(tf.sign(tf.nn.relu(outputs - own)), -1)
    return 1.0 - tf.sign(tf.nn.relu(larger - (k - 0.5)))


def _top_k(labels: Any, outputs: Any, k: int = 5) -> Any:
    return _sparse_top_k(tf.argmax(labels, -1, output_type=tf.int32), outputs, k)


# Keras's function -> the same with ops that devices have
_ON_DEVICE: Mapping[Any, Any] = MappingProxyType(
    {
        keras.metrics.categorical_accuracy: _categorical_accuracy,
        keras.metrics.sparse_categorical_accuracy: _sparse_categorical_accuracy,
        keras.metrics.sparse_top_k_categorical_accuracy: _sparse_top_k,
        keras.metrics.top_k_categorical_accuracy: _top_k,
    }
)


def resolve(metric: Any, labels: TensorSpec, output: TensorSpec) -> Metric:
    """The metric that this means, as in `model.compile`: "accuracy" is what labels and outputs make of it.

    Raises:
        UnsupportedModelError: none, or one that is no mean over examples.
    """
    name = metric if isinstance(metric, str) else getattr(metric, "name", getattr(metric, "__name__", "metric"))
    where = f"metric {name!r}"
    found = _accuracy(labels, output) if metric in ("accuracy", "acc") else _found(metric, where)
    options: dict[str, Any] = {}
    if isinstance(found, keras.metrics.MeanMetricWrapper):
        found, options = found._fn, dict(found._fn_kwargs)
    if isinstance(found, keras.metrics.Metric) or not callable(found):
        raise UnsupportedModelError(where, "it is not a mean over examples", _REMEDY)
    if isinstance(found, keras.losses.Loss):
        found = found.call
    if options.pop("from_sorted_ids", False):
        raise UnsupportedModelError(where, "its outputs are numbers of classes", _REMEDY)
    return Metric(slug(name), partial(_ON_DEVICE.get(found, found), **options), partial(found, **options))


def _accuracy(labels: TensorSpec, output: TensorSpec) -> Any:
    if output.shape[-1] == 1:
        return keras.metrics.binary_accuracy
    if len(labels.shape) < len(output.shape):
        return keras.metrics.sparse_categorical_accuracy
    return keras.metrics.categorical_accuracy


def _found(metric: Any, where: str) -> Any:
    if not isinstance(metric, str):
        return metric
    try:
        return keras.metrics.get(metric)
    except ValueError:
        raise UnsupportedModelError(where, "there is none of that name", _REMEDY) from None
