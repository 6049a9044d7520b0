"""What is known when a model is exported is computed then: shapes, loop counters, indices.

An op is folded if it has no side effects, draws no random numbers, and everything it takes is a small constant. It is
TensorFlow itself that computes it, so a folded value is TensorFlow's own, bit for bit.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from model_export.errors import LoweringError
from model_export.lowering.graphs import evaluate_op
from model_export.lowering.scope import Scope

# A drawing op with a constant key would become one fixed noise tensor.
RANDOM = re.compile(r"Random|Multinomial|TruncatedNormal|Shuffle|Rng")
# Constants above this many entries stay in the graph; shapes and counters are far below it.
_MOST_ENTRIES = 1024
_WITHOUT_VALUES = frozenset({tf.resource, tf.string, tf.variant})


def static_value(value: Any) -> Any:
    """The numbers of a constant of any size as a numpy array, or None if a tensor is not constant."""
    if not isinstance(value, tf.Tensor) or value.dtype in _WITHOUT_VALUES:
        return None
    is_eager = hasattr(value, "numpy")
    return tf.get_static_value(value) if is_eager or value.op.type == "Const" else None


def known_sizes(value: Any) -> list[int] | None:
    """The entries of a constant that holds a shape or indices, or None if it is not constant."""
    numbers = static_value(value)
    return None if numbers is None else [int(number) for number in np.ravel(numbers)]


def sizes_of(value: Any) -> list[int]:
    """The entries of a constant that holds a shape.

    Raises:
        LoweringError: it is not constant.
    """
    sizes = known_sizes(value)
    if sizes is None:
        raise LoweringError("has a shape that depends on data, but every shape must be known when a model is exported")
    return sizes


def fold(op: Any, inputs: Sequence[Any], scope: Scope) -> list[Any] | None:
    """The outputs of an op as constants, or None if they are not known before the program runs."""
    if not all(_is_small(value.dtype, value.shape) for value in op.outputs):
        return None
    if op.type == "Const":  # in the body of a loop it stands for every step
        return [
            scope.once(("constant", op), lambda: _constant(static_value(op.outputs[0]), op.outputs[0].dtype, scope))
        ]
    if not inputs or op.op_def.is_stateful or RANDOM.search(op.type):
        return None
    values = [_small_value(value) for value in inputs]
    if any(value is None for value in values):
        return None
    dtypes = [value.dtype for value in op.outputs]
    return [_constant(value, dtype, scope) for value, dtype in zip(evaluate_op(op, values), dtypes, strict=True)]


def _constant(value: Any, dtype: Any, scope: Scope) -> Any:
    """One constant for all that are equal."""
    return scope.once(("constant", dtype, value.shape, value.tobytes()), lambda: tf.constant(value, dtype))


def _small_value(value: Any) -> Any:
    if not isinstance(value, tf.Tensor) or not _is_small(value.dtype, value.shape):
        return None
    return static_value(value)


def _is_small(dtype: Any, shape: Any) -> bool:
    return dtype not in _WITHOUT_VALUES and (shape.num_elements() or 0) <= _MOST_ENTRIES
