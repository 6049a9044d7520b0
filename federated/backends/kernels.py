"""Local computations as the compiler's kernels: functions from flat tensors to flat tensors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from federated.backends.structured import tensor_spec
from federated.language.errors import CompilationError
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
    """A function's symbolic outputs on symbolic inputs of these types, in a graph of its own.

    The graph is a `tf.function`'s, because others take no tensors that the function has from outside.
    """
    outputs: list[Any] = []

    def body(*flat: Any) -> None:
        outputs[:] = function(flat)

    tf.function(body, autograph=False).get_concrete_function(*[tensor_spec(type_) for type_ in inputs])
    return outputs


def type_of(tensor: Any) -> TensorType:
    """The type of a tensor of TensorFlow's.

    Raises:
        CompilationError: it stands for a data set, which is no tensor.
    """
    if tensor.dtype == tf.variant:
        raise CompilationError(
            "a data set that a local computation makes has no meaning on a device",
            fix="a device's sequences are its own examples, a parameter of the clients; give a tensor, or what "
            "Dataset.reduce comes to",
        )
    shape = None if tensor.shape.rank is None else tensor.shape.as_list()
    return TensorType(np.str_ if tensor.dtype == tf.string else tensor.dtype.as_numpy_dtype, shape)


def _add_float(flat: Sequence[Any]) -> list[Any]:
    """Knuth's TwoSum: the error of s + x is (s − (t − b)) + (x − b), with t = s + x and b = t − s."""
    total, error, x = flat
    new = total + x
    b = new - total
    return [new, error + ((total - (new - b)) + (x - b))]


def _settle_float(flat: Sequence[Any]) -> list[Any]:
    total, error = flat
    settled = total + error
    # After an infinity the errors are NaN, and the total itself says what there is to say.
    return [tf.where(tf.equal(settled, settled), settled, total)]


def _add_integer(flat: Sequence[Any]) -> list[Any]:
    total, x = flat
    return [total + tf.cast(x, tf.int64)]


def _settle_integer(dtype: str) -> Emit:
    limits = np.iinfo(dtype)

    def settle(flat: Sequence[Any]) -> list[Any]:
        (total,) = flat
        fits = tf.logical_and(total >= limits.min, total <= limits.max)
        # Runtimes have no assertion, but they refuse an index that is not there.
        place = tf.where(tf.reduce_all(fits), 0, 1)
        return [tf.gather(tf.expand_dims(tf.cast(total, dtype), 0), place)]

    return settle


def _weigh(flat: Sequence[Any]) -> list[Any]:
    weight, *values = flat
    products = []
    for value in values:
        factor = tf.cast(weight, value.dtype)
        products.append(tf.where(tf.equal(factor, 0), tf.zeros_like(value), factor * value))
    return products


def _mask(flat: Sequence[Any]) -> list[Any]:
    weight, *values = flat
    return [tf.where(tf.equal(weight, 0), tf.zeros_like(value), value) for value in values]


def _choose(flat: Sequence[Any]) -> list[Any]:
    which, *values = flat
    half = len(values) // 2
    return [tf.where(which > 0, one, other) for one, other in zip(values[:half], values[half:], strict=True)]


def _divide(flat: Sequence[Any]) -> list[Any]:
    total, *sums = flat
    return [value / tf.cast(total, value.dtype) for value in sums]


def _widen(flat: Sequence[Any]) -> list[Any]:
    return [tf.cast(flat[0], tf.int64)]


def _items(flat: Sequence[Any]) -> list[Any]:
    return tf.unstack(flat[0]) if flat[0].shape[0] else []


ARITHMETIC = {
    name: TensorFlowKernel(name, function)
    for name, function in (
        ("add_float", _add_float),
        ("add_integer", _add_integer),
        *((f"settle_{name}", _settle_float) for name in ("float16", "float32", "float64")),
        *((f"settle_{name}", _settle_integer(name)) for name in ("int8", "int16", "int32", "int64", "uint8", "uint16")),
        ("weigh", _weigh),
        ("mask", _mask),
        ("choose", _choose),
        ("divide", _divide),
        ("items", _items),
        ("widen", _widen),
    )
}
