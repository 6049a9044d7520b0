"""Metrics: what examples add to sums, so that those of any number of devices make one value.

Most are means: one value an example, summed and counted. An area under a curve is two histograms (`model_export.auc`).
What is neither is refused: a precision or a root of a mean cannot be put together from the devices' own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Protocol

import keras
import tensorflow as tf

from model_export import auc
from model_export.errors import UnsupportedModelError
from model_export.names import slug
from wire.tensors import Tensors, TensorSpec

Values = Callable[[Any, Any], Any]  # (labels [batch, ...], outputs [batch, ...]) -> [batch, ...]
_REMEDY = "use a metric that is a mean over examples, an AUC, its name, or a function with one value an example"


class Metric(Protocol):
    """What is measured of a batch beside the loss, and what its sums mean."""

    @property
    def name(self) -> str:
        """The metric's name."""

    @property
    def measured(self) -> tuple[str, ...]:
        """The names of what is summed."""

    def values(self, labels: Any, outputs: Any) -> dict[str, Any]:
        """What every example adds to each of them: [batch], or [batch, buckets]."""

    def sums_in_keras(self, labels: Any, outputs: Any) -> dict[str, Any]:
        """The sums over a batch, by Keras's own code."""

    def finished(self, sums: Tensors, count: float) -> float:
        """The metric, from sums over all batches and the sum of the examples' weights."""


@dataclass(frozen=True)
class Mean:
    """A mean over examples: the name in the file, what a device computes, and Keras's own function."""

    name: str
    on_device: Values
    in_keras: Values

    @property
    def measured(self) -> tuple[str, ...]:
        """The metric itself."""
        return (self.name,)

    def values(self, labels: Any, outputs: Any) -> dict[str, Any]:
        """Its value for every example.

        Raises:
            UnsupportedModelError: there is not one for every example.
        """
        return {self.name: per_example(self.name, self.on_device(labels, outputs), outputs.shape[0])}

    def sums_in_keras(self, labels: Any, outputs: Any) -> dict[str, Any]:
        """Keras's mean, as often as there are examples."""
        count = tf.cast(tf.shape(labels)[0], tf.float32)
        return {self.name: count * tf.reduce_mean(tf.cast(self.in_keras(labels, outputs), tf.float32))}

    def finished(self, sums: Tensors, count: float) -> float:
        """The sum over the count."""
        return float(sums[self.name].item()) / count


def per_example(name: str, values: Any, batch_size: int) -> Any:
    """One value an example [batch]: the mean over all other axes, as Keras's is.

    Raises:
        UnsupportedModelError: the first axis is not the batch.
    """
    if not values.shape.rank or values.shape[0] != batch_size:
        raise UnsupportedModelError(
            f"the {name}", f"it has the shape {values.shape} for a batch of {batch_size}", "give one value an example"
        )
    values = tf.cast(values, tf.float32)
    return tf.reduce_mean(values, list(range(1, values.shape.rank))) if values.shape.rank > 1 else values


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
        UnsupportedModelError: none, or one that does not follow from sums over examples.
    """
    name = metric if isinstance(metric, str) else getattr(metric, "name", getattr(metric, "__name__", "metric"))
    where = f"metric {name!r}"
    found = _accuracy(labels, output) if metric in ("accuracy", "acc") else _found(metric, where)
    if type(found) is keras.metrics.AUC:
        return auc.resolve(found, name, labels, output)
    options: dict[str, Any] = {}
    if isinstance(found, keras.metrics.MeanMetricWrapper):
        found, options = found._fn, dict(found._fn_kwargs)
    if isinstance(found, keras.metrics.Metric) or not callable(found):
        raise UnsupportedModelError(where, "it does not follow from sums over examples", _REMEDY)
    if isinstance(found, keras.losses.Loss):
        found = found.call
    if options.pop("from_sorted_ids", False):
        raise UnsupportedModelError(where, "its outputs are numbers of classes", _REMEDY)
    return Mean(slug(name), partial(_ON_DEVICE.get(found, found), **options), partial(found, **options))


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
