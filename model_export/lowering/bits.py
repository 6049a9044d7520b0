"""The sign bit of numbers, by which Keras's `argmax` and `signbit` tell −0 from 0. TFLite has no other use of masks.

x & 1000…0₂ = 1000…0₂ where x < 0, else 0
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from model_export.errors import LoweringError
from model_export.lowering.folding import known_sizes
from model_export.lowering.scope import Scope


def _and(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    x, mask = inputs
    if x.dtype != tf.int32 or known_sizes(mask) != [tf.int32.min]:
        raise LoweringError("masks other bits than the sign, which TFLite cannot; use comparisons or remainders")
    return [tf.where(x < 0, tf.constant(tf.int32.min, tf.int32), tf.constant(0, tf.int32))]


LOWERINGS = {"BitwiseAnd": _and}
