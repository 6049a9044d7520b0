"""Random numbers from a counter, made of integer ops that every runtime computes alike.

TFLite's own generators cannot be seeded when they run, and the converter folds a stateless op with a constant key into
one fixed noise tensor, silently. So a number is a hash of what it is for: the key (seed, step), its row and its column,

    h = mix(mix(seed ⊕ a) ⊕ step)      r_i = mix(h ⊕ a_i)      u_ij = mix(r_i ⊕ a_j) ÷ 2³²      (24 bits are kept)

with a_i = mix of the i-th multiple of the golden ratio. Salmon, Moraes, Dror and Shaw, "Parallel Random Numbers: As
Easy as 1, 2, 3" (2011), for generators without state; `mix` is lowbias32 of Wellons, "Prospecting for Hash Functions"
(2018), a permutation of 32-bit integers. The first axis counts as rows, so a padded batch has the numbers of the real
one, and then more.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from model_export.errors import LoweringError
from model_export.lowering.scope import Scope

_GOLDEN = 0x9E3779B9  # 2³² divided by the golden ratio
_BITS = 24  # of a float32 below 1


def uniform(shape: Sequence[int], key: Any) -> Any:
    """Numbers in [0, 1) that depend on the key, int32[2], and on their place alone."""
    *leading, columns = shape or (1,)
    rows = math.prod(leading)
    seed, step = (tf.bitcast(word, tf.uint32) for word in tf.split(key, 2))
    head = _mix(_xor(_mix(_xor(seed, _salts(1))), step))
    row = tf.reshape(_mix(_xor(head, _salts(rows))), [rows, 1])
    bits = _mix(_xor(row, _salts(columns).reshape(1, columns)))
    integers = tf.bitcast(tf.bitwise.right_shift(bits, _word(32 - _BITS)), tf.int32)
    return tf.reshape(tf.cast(integers, tf.float32) * 2.0**-_BITS, shape)


def normal(shape: Sequence[int], key: Any) -> Any:
    """Normal numbers by the polar form √(−2 ln u₁) cos 2πu₂ (Box and Muller, 1958)."""
    u = uniform([2, math.prod(shape)] if not shape else [shape[0], 2, math.prod(shape[1:])], key)
    first, second = tf.split(u, 2, -2)
    radius = tf.sqrt(-2.0 * tf.math.log(1.0 - first))  # 1 − u is never 0
    return tf.reshape(radius * tf.cos(2.0 * math.pi * second), shape)


def _mix(x: Any) -> Any:
    x = _xor(x, tf.bitwise.right_shift(x, _word(16))) * _word(0x7FEB352D)
    x = _xor(x, tf.bitwise.right_shift(x, _word(15))) * _word(0x846CA68B)
    return _xor(x, tf.bitwise.right_shift(x, _word(16)))


def _xor(x: Any, y: Any) -> Any:
    return tf.bitwise.bitwise_xor(x, y)


def _word(value: int) -> Any:
    return tf.constant(value, tf.uint32)


def _salts(count: int) -> Any:
    """a_1 … a_count, known before the file is made."""
    x = (np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN).astype(np.uint32)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x = (x ^ (x >> np.uint32(shift))) * np.uint32(factor)
    return x ^ (x >> np.uint32(16))


def _key(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    """Pass the seed on as the key: the ops below take it as it is."""
    if tf.get_static_value(op.inputs[0]) is not None:
        raise LoweringError("draws random numbers from a constant seed, the same in every step")
    return [tf.cast(inputs[0], tf.int32), inputs[0]]


def _uniform(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    return [uniform(_static_shape(op), inputs[1])]


def _normal(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    return [normal(_static_shape(op), inputs[1])]


def _static_shape(op: Any) -> list[int]:
    (output,) = op.outputs
    if output.dtype != tf.float32:
        raise LoweringError(f"draws {output.dtype.name}; only float32 has a lowering")
    return list(output.shape.as_list())


LOWERINGS = {
    "StatelessRandomGetKeyCounter": _key,
    "StatelessRandomNormalV2": _normal,
    "StatelessRandomUniformV2": _uniform,
}
