"""Which numbers are finite, where a runtime may have made one of an infinity.

Outside XNNPACK, and on tflite-runtime 2.14 inside it as well, a sum, a difference, a product and a quotient are clamped
to ±FLT_MAX, the largest float32, although nothing asks for it: 1/0 is 3.4e38. So that number counts as infinite here,
as it does in `plans.finiteness`.

    is finite    |x| < FLT_MAX        is infinite  |x| ≥ FLT_MAX
"""

from typing import Any

import numpy as np
import tensorflow as tf

from model_export.lowering.trigonometry import of_float32

_LARGEST = float(np.finfo(np.float32).max)


def _is_finite(x: Any) -> Any:
    return tf.abs(x) < _LARGEST


def _is_infinite(x: Any) -> Any:
    return tf.abs(x) >= _LARGEST


LOWERINGS = {"IsFinite": of_float32(_is_finite), "IsInf": of_float32(_is_infinite)}
