"""Reciprocal square roots that are finite at zero.

TensorFlow's 1/√0 is infinite, and Keras takes the smaller of it and a bound when it normalises a vector. XNNPACK's is
NaN there, and a NaN stays. So the root is taken of at least the smallest normal float. The gradient of y = 1/√x is

    dx = −½ dy y³

multiplied in an order in which y³ does not overflow before a dy of zero meets it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from model_export.lowering.scope import Scope

_SMALLEST = float(np.finfo(np.float32).tiny)


def _rsqrt(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    (x,) = inputs
    flat = tf.reshape(x, [-1])  # a scalar meets tensors of few axes only
    return [tf.reshape(tf.math.rsqrt(tf.maximum(flat, _SMALLEST)), x.shape)]


def _rsqrt_gradient(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    y, dy = (tf.reshape(value, [-1]) for value in inputs)
    return [tf.reshape(-0.5 * ((dy * y) * (y * y)), inputs[0].shape)]


LOWERINGS = {"Rsqrt": _rsqrt, "RsqrtGrad": _rsqrt_gradient}
