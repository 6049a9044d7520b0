"""Local computations as the compiler's kernels: functions from flat tensors to flat tensors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from federated.backends.structured import tensor_spec
from federated.language.types import TensorType

Emit = Callable[[Sequence[Any]], Sequence[Any]]


@dataclass(frozen=True, eq=False)
class TensorFlowKernel:
    """A TensorFlow function of flat tensors."""

    name: str
    function: Emit

    def emit(self, flat: Sequence[Any]) -> list[Any]:
        """The outputs, in the graph that is being built, or at once."""
        return [tf.convert_to_tensor(output) for output in self.function(flat)]

    def output_types(self, inputs: Sequence[TensorType]) -> list[TensorType]:
        """The types of the outputs, from a trace on such inputs."""
        return [type_of(output) for output in trace(self.emit, inputs)]


def trace(function: Emit, inputs: Sequence[TensorType]) -> Sequence[Any]:
    """A function's symbolic outputs on symbolic inputs of these types, in a graph of its own."""
    with tf.Graph().as_default():
        specs = [tensor_spec(type_) for type_ in inputs]
        return function([tf.compat.v1.placeholder(spec.dtype, spec.shape) for spec in specs])


def type_of(tensor: Any) -> TensorType:
    """The type of a tensor of TensorFlow's."""
    shape = None if tensor.shape.rank is None else tensor.shape.as_list()
    return TensorType(np.str_ if tensor.dtype == tf.string else tensor.dtype.as_numpy_dtype, shape)


def _add(flat: Sequence[Any]) -> list[Any]:
    half = len(flat) // 2
    return [a + b for a, b in zip(flat[:half], flat[half:], strict=True)]


def _weigh(flat: Sequence[Any]) -> list[Any]:
    weight, *values = flat
    products = []
    for value in values:
        factor = tf.cast(weight, value.dtype)
        products.append(tf.where(tf.equal(factor, 0), tf.zeros_like(value), factor * value))
    return products


def _divide(flat: Sequence[Any]) -> list[Any]:
    total, *sums = flat
    return [value / tf.cast(total, value.dtype) for value in sums]


def _items(flat: Sequence[Any]) -> list[Any]:
    return tf.unstack(flat[0]) if flat[0].shape[0] else []


ARITHMETIC = {
    name: TensorFlowKernel(name, function)
    for name, function in (("add", _add), ("weigh", _weigh), ("divide", _divide), ("items", _items))
}
