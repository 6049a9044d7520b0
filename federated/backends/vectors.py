"""Arithmetic on flat vectors that compression is written in: blocks, bits, rotations, and random numbers from a key.

Only operations that give the same bits in TensorFlow and on a device decide what a code is; TFLite makes a division by
a constant a product with its rounded inverse, so powers of two are multiplied with here.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from model_export.lowering.random import uniform, words
from wire.tensors import Array

_BYTE = 8
_FACTOR = 64  # the largest Hadamard matrix that is multiplied with


def flat(tensors: Sequence[Any]) -> Any:
    """All elements of some tensors, as one float32[d]."""
    return tf.concat([tf.reshape(tf.cast(tensor, tf.float32), [-1]) for tensor in tensors], 0)


def unflat(vector: Any, like: Sequence[Any]) -> list[Any]:
    """The tensors of these types that the vector holds one after the other."""
    sizes = [math.prod(type_.shape) for type_ in like]
    parts = tf.split(vector, sizes) if len(sizes) > 1 else [vector]
    return [tf.cast(tf.reshape(part, type_.shape), type_.dtype) for part, type_ in zip(parts, like, strict=True)]


def zeros(length: int) -> Any:
    """A vector of zeros, which a program holds as its length."""
    return tf.zeros([length], tf.float32)


def blocks(vector: Any, size: int) -> Any:
    """The vector in rows of this size, zeros after its end."""
    missing = -vector.shape[0] % size
    return tf.reshape(tf.pad(vector, [[0, missing]]), [-1, size])


def unblocked(rows: Any, length: int) -> Any:
    """The first elements of the rows, as one vector."""
    return tf.reshape(rows, [-1])[:length]


def fingerprint(vector: Any) -> Any:
    """An int32 that differs between vectors that are not nearly the same, and not between roundings of one.

    64 sums p_j of the vector's elements with random signs are rounded to whole sevenths of the largest, and that to a
    power of 2^(1/8); the integers are hashed as Σ a_j n_j modulo 2³², with odd random a_j.
    """
    rows = blocks(vector, _SUMS)
    random = np.random.default_rng(_SALT)
    signs = random.choice(np.array([-1.0, 1.0], np.float32), (rows.shape[0], 1))
    sums = tf.reduce_sum(rows * signs, 0)
    largest = tf.maximum(tf.reduce_max(tf.abs(sums)), _SMALLEST)
    steps = tf.concat([sums * (7.0 / largest), tf.reshape(tf.math.log(largest) * (8.0 / math.log(2.0)), [1])], 0)
    salts = random.integers(-(2**31), 2**31, _SUMS + 1, np.int64).astype(np.int32) | 1
    return tf.reduce_sum(tf.cast(tf.round(steps), tf.int32) * salts)


_SUMS = 64
_SMALLEST = 1e-20
_SALT = 20150412  # any number, but always the same


def key_of(vector: Any, round_number: Any) -> Any:
    """A key, int32[2]: the vector's fingerprint and the round."""
    return tf.stack([fingerprint(vector), tf.cast(round_number, tf.int32)])


def random_signs(shape: Sequence[int], key: Any) -> Any:
    """−1 or 1, each as likely."""
    top_bit = tf.cast(tf.bitwise.right_shift(words(shape, key), tf.constant(31, tf.int32)), tf.float32)
    return 2.0 * top_bit + 1.0  # the shift is arithmetic: the bit is −1 or 0


def random_uniform(shape: Sequence[int], key: Any) -> Any:
    """Numbers within 0 and 1."""
    return uniform(shape, key)


def hadamard(rows: Any) -> Any:
    """Each row times the Hadamard matrix of its size, a power of two, divided by the root of that.

    H_mn = H_m ⊗ H_n, so a row of m · n is a matrix that gets an H on each side.
    """
    size = rows.shape[1]
    count = rows.shape[0]
    remaining, sizes = size, []
    while remaining > 1:
        sizes.append(min(remaining, _FACTOR))
        remaining //= sizes[-1]
    for factor in sizes:
        # The first axis of a row is multiplied, and then goes to the end; after all of them the order is the old one.
        cube = tf.transpose(tf.reshape(rows, [count, factor, size // factor]), [0, 2, 1])
        rows = tf.reshape(tf.matmul(tf.reshape(cube, [-1, factor]), _hadamard_matrix(factor)), [count, size])
    return rows


def _hadamard_matrix(size: int) -> Array:
    matrix = np.ones((1, 1))
    while len(matrix) < size:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return np.asarray(matrix / math.sqrt(size), np.float32)


def packed(codes: Any, bits: int) -> Any:
    """Codes below 2^bits, float32[rows, columns], as uint8[bits, rows · columns / 8]: a plane for each bit.

    Those of 8 bits are bytes already, uint8[1, rows · columns].
    """
    if bits == _BYTE:
        return tf.reshape(tf.cast(codes, tf.uint8), [1, -1])
    flat_codes = tf.reshape(codes, [-1, _BYTE])
    planes = []
    for bit in range(bits):
        shifted = tf.floor(flat_codes * 2.0**-bit)
        ones = shifted - 2.0 * tf.floor(shifted * 0.5)
        planes.append(tf.reduce_sum(ones * _powers(1), 1))
    return tf.cast(tf.stack(planes), tf.uint8)


def unpacked(planes: Any, bits: int, columns: int) -> Any:
    """The codes, float32[rows, columns], that `packed` got."""
    if bits == _BYTE:
        return tf.reshape(tf.cast(planes, tf.float32), [-1, columns])
    codes = 0.0
    for bit, plane in enumerate(tf.unstack(planes)):
        shifted = tf.floor(tf.cast(plane, tf.float32)[:, None] * _powers(-1))
        codes += 2.0**bit * (shifted - 2.0 * tf.floor(shifted * 0.5))
    return tf.reshape(codes, [-1, columns])


def _powers(sign: int) -> Array:
    return np.asarray(2.0 ** (sign * np.arange(_BYTE)), np.float32)


def row_sums(rows: Any) -> Any:
    """Σ of each row, [rows, 1]."""
    return tf.reduce_sum(rows, 1, keepdims=True)


def row_extremes(rows: Any) -> tuple[Any, Any]:
    """The smallest and the largest of each row, [rows, 1]."""
    return tf.reduce_min(rows, 1, keepdims=True), tf.reduce_max(rows, 1, keepdims=True)


def looked_up(table: Sequence[float], codes: Any) -> Any:
    """The table's entry for each code, float32."""
    return tf.gather(tf.constant(table, tf.float32), tf.cast(codes, tf.int32))


def largest(vector: Any, count: int) -> tuple[Any, Any]:
    """The elements of the largest magnitudes, and their places, the first place first."""
    _, unsorted = tf.math.top_k(tf.abs(vector), count)
    places = -tf.math.top_k(-unsorted, count)[0]
    return tf.gather(vector, places), places


def scattered(values: Any, places: Any, length: int) -> Any:
    """The vector that has these values at these places, and zeros elsewhere."""
    return tf.scatter_nd(places[:, None], values, [length])
