"""Random numbers from a counter, made of ops that every runtime computes alike, and that are fast.

TFLite's own generators cannot be seeded when they run, and the converter folds a stateless op with a constant key into
one fixed noise tensor, silently. So a word of 32 bits is a hash of what it is for: the key (seed, step), its row and
its column,

    h = mix(mix(seed + a_1) + step)      r_i = mix(h + a_i)      w_ij = mix(r_i + a_j)      all modulo 2³²

with a_i salts that are known before the file is made. Salmon, Moraes, Dror and Shaw, "Parallel Random Numbers: As Easy
as 1, 2, 3" (2011), for generators without state. The first axis counts as rows, so a padded batch has the numbers of
the real one, and then more.

XOR and shifts, of which such hashes are usually made, cost the runtimes ten times what a product does. So `mix` carries
upwards by x ← x(2x + 1), the permutation of RC6 (Rivest, Robshaw, Sidney and Yin, 1998), and downwards by adding the
upper half of x, which a float32 finds: x ← x + ⌊x ÷ 2¹⁶⌋. Its rounding of x to 24 bits is the same everywhere.
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


def words(shape: Sequence[int], key: Any) -> Any:
    """Words of 32 random bits, as int32, that depend on the key, int32[2], and on their place alone."""
    *leading, columns = shape or (1,)
    rows = math.prod(leading)
    seed, step = tf.split(key, 2)
    head = mixed(mixed(seed + _salts(1)) + step)
    row = tf.reshape(mixed(head + _salts(rows)), [rows, 1])
    return tf.reshape(mixed(row + _salts(columns).reshape(1, columns)), shape)


def uniform(shape: Sequence[int], key: Any) -> Any:
    """Numbers in [0, 1), of 24 bits."""
    upper = tf.bitwise.right_shift(words(shape, key), tf.constant(32 - _BITS, tf.int32))
    return tf.cast(upper, tf.float32) * 2.0**-_BITS + 0.5


def normal(shape: Sequence[int], key: Any) -> Any:
    """Normal numbers by the polar form √(−2 ln u₁) cos 2πu₂ (Box and Muller, 1958)."""
    u = uniform([2, math.prod(shape)] if not shape else [shape[0], 2, math.prod(shape[1:])], key)
    first, second = tf.split(u, 2, -2)
    radius = tf.sqrt(-2.0 * tf.math.log(1.0 - first))  # 1 − u is never 0
    return tf.reshape(radius * tf.cos(2.0 * math.pi * second), shape)


def mixed(x: Any) -> Any:
    """An int32 as another that looks random, each from one other; see the module's description."""
    x += _upper_half(x)
    x += x * (x + x)
    x += _upper_half(x)
    x += x * (x + x)
    return x + _upper_half(x)


def _upper_half(x: Any) -> Any:
    """⌊x ÷ 2¹⁶⌋; the floor leaves nothing to round to the conversion, which runtimes do in ways of their own."""
    return tf.cast(tf.floor(tf.cast(x, tf.float32) * 2.0**-16), tf.int32)


def _salts(count: int) -> Any:
    """a_1 … a_count: multiples of the golden ratio, hashed by lowbias32 (Wellons, "Prospecting for Hash Functions")."""
    x = (np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN).astype(np.uint32)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x = (x ^ (x >> np.uint32(shift))) * np.uint32(factor)
    return (x ^ (x >> np.uint32(16))).view(np.int32)


def _key(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    """Pass the seed on as the key: the ops below take it as it is."""
    if tf.get_static_value(op.inputs[0]) is not None:
        raise LoweringError("draws random numbers from a constant seed, the same in every step")
    return [tf.cast(inputs[0], tf.int32), inputs[0]]


def _uniform(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    return [uniform(_static_shape(op), inputs[1])]


def _normal(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    return [normal(_static_shape(op), inputs[1])]


def _words(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    return [words(_static_shape(op, tf.int32), inputs[1])]


def _static_shape(op: Any, dtype: Any = tf.float32) -> list[int]:
    (output,) = op.outputs
    if output.dtype != dtype:
        raise LoweringError(f"draws {output.dtype.name}; only {dtype.name} has a lowering")
    return list(output.shape.as_list())


LOWERINGS = {
    "StatelessRandomGetKeyCounter": _key,
    "StatelessRandomNormalV2": _normal,
    "StatelessRandomUniformFullIntV2": _words,
    "StatelessRandomUniformV2": _uniform,
}
