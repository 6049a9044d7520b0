"""Ops of two operands that are one tensor, x ∘ x, as ops of one.

XNNPACK ends the process where both operands of an op are the same variable. So a float that meets itself is

    x + x = 2x    x · x = x²    max(x, x) = min(x, x) = x    x − x = (x − x)² = 0 · x    x / x = x / max(x, −3.4e38)

with 0 · x in the place of 0 because ∞ − ∞ is no number.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

_SMALLEST = float(np.finfo(np.float32).min)

_OF_ONE: Mapping[str, Callable[[Any], Any]] = {
    "Add": lambda x: x * 2.0,
    "AddV2": lambda x: x * 2.0,
    "Div": lambda x: x / tf.maximum(x, _SMALLEST),
    "Maximum": lambda x: x * 1.0,
    "Minimum": lambda x: x * 1.0,
    "Mul": tf.square,
    "RealDiv": lambda x: x / tf.maximum(x, _SMALLEST),
    "SquaredDifference": lambda x: x * 0.0,
    "Sub": lambda x: x * 0.0,
}


def of_one_tensor(op_type: str, inputs: Sequence[Any]) -> list[Any] | None:
    """The op's output where both operands are the same float tensor; None where they are not, or it is harmless."""
    if len(inputs) != 2 or inputs[0] is not inputs[1] or op_type not in _OF_ONE:  # noqa: PLR2004 - operands
        return None
    x = inputs[0]
    return [_OF_ONE[op_type](x)] if x.dtype == tf.float32 else None
