"""The arithmetic that algorithms are written in, on tensors of TensorFlow and structures of them.

Algorithms stand above this room and import nothing of TensorFlow's themselves; everything else that they need of a
tensor, its operators give.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import tensorflow as tf


def each(function: Callable[..., Any], *structures: Any) -> Any:
    """A function of the corresponding tensors of some structures, in the structure of the first."""
    return tf.nest.map_structure(function, *structures)


def leaves(structure: Any) -> list[Any]:
    """The tensors of a structure."""
    return list(tf.nest.flatten(structure))


def sqrt(x: Any) -> Any:
    """√x."""
    return tf.sqrt(x)


def sign(x: Any) -> Any:
    """-1, 0 or 1."""
    return tf.sign(x)


def where(condition: Any, then: Any, otherwise: Any) -> Any:
    """`then` where the condition holds, else `otherwise`."""
    return tf.where(condition, then, otherwise)


def zeros_like(x: Any) -> Any:
    """Zeros of a tensor's shape and dtype."""
    return tf.zeros_like(x)


def minimum(x: Any, y: Any) -> Any:
    """The smaller of both, element by element."""
    return tf.minimum(x, y)


def maximum(x: Any, y: Any) -> Any:
    """The larger of both, element by element."""
    return tf.maximum(x, y)


def cast(x: Any, dtype: Any) -> Any:
    """The tensor in another dtype."""
    return tf.cast(x, dtype)


def total(x: Any) -> Any:
    """Σ of all elements."""
    return tf.reduce_sum(x)


def global_norm(structure: Any) -> Any:
    """√Σ x² over all elements of all tensors."""
    return tf.sqrt(tf.add_n([tf.reduce_sum(tf.square(leaf)) for leaf in tf.nest.flatten(structure)]))


def largest_magnitude(structure: Any) -> Any:
    """max |x| over all elements of all tensors."""
    return tf.reduce_max(tf.stack([tf.reduce_max(tf.abs(leaf)) for leaf in tf.nest.flatten(structure)]))


@contextmanager
def differentiating(inputs: Any) -> Iterator[Callable[[Any], Any]]:
    """Inside, what is computed is followed; afterwards the function given gives ∂(a scalar)/∂inputs.

    Example:
        >>> with differentiating(weights) as gradient_of:
        ...     loss = model(weights)
        >>> gradient_of(loss)
    """
    tape = tf.GradientTape()
    with tape:
        tf.nest.map_structure(tape.watch, inputs)
        yield lambda scalar: tape.gradient(scalar, inputs, unconnected_gradients="zero")


def all_finite(structure: Any) -> Any:
    """Whether every element of every tensor is finite."""
    return tf.reduce_all(tf.stack([tf.reduce_all(tf.math.is_finite(leaf)) for leaf in tf.nest.flatten(structure)]))


def stack(tensors: Sequence[Any]) -> Any:
    """Tensors along a new first axis."""
    return tf.stack(tensors)


def exp(x: Any) -> Any:
    """eˣ."""
    return tf.exp(x)


def logical_and(a: Any, b: Any) -> Any:
    """Whether both hold."""
    return tf.logical_and(a, b)


def rounded(x: Any) -> Any:
    """The nearest integer, as a float; the even one of two."""
    return tf.round(x)


def floor(x: Any) -> Any:
    """The largest integer that is not more, as a float."""
    return tf.floor(x)


def clip(x: Any, lowest: Any, highest: Any) -> Any:
    """The nearest value between two bounds."""
    return tf.minimum(tf.maximum(x, lowest), highest)


def one_hot(index: Any, size: int) -> Any:
    """A vector of zeros with a one at the index."""
    return tf.one_hot(index, size)


def cumulative(x: Any) -> Any:
    """The sums of all elements up to each."""
    return tf.cumsum(x)


def log(x: Any) -> Any:
    """The natural logarithm."""
    return tf.math.log(x)


def hashed(x: Any, salt: int) -> Any:
    """An int32 as a float32 in [0, 1) that looks random: a multiple of 2^-24, another one for another salt."""
    from model_export.lowering.random import mixed

    word = mixed(mixed(tf.cast(x, tf.int32) + tf.constant(salt, tf.int32)))
    return tf.cast(tf.bitwise.right_shift(word, tf.constant(8, tf.int32)), tf.float32) * 2.0**-24 + 0.5


def matmul(a: Any, b: Any) -> Any:
    """The product of two matrices."""
    return tf.matmul(a, b)


def transposed(a: Any) -> Any:
    """A matrix with its axes swapped."""
    return tf.transpose(a)


def sum_over(x: Any, axis: int) -> Any:
    """Σ along one axis."""
    return tf.reduce_sum(x, axis)


def argmin(x: Any, axis: int) -> Any:
    """The place of the smallest along one axis, the first of several."""
    return tf.argmin(x, axis, output_type=tf.int32)


def least(x: Any, axis: int) -> Any:
    """The smallest along one axis."""
    return tf.reduce_min(x, axis)


def power(x: Any, exponent: Any) -> Any:
    """x to the exponent."""
    return tf.pow(x, exponent)
