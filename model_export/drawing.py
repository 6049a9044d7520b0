"""What the random layers of a Keras model draw from while a step is traced.

Keras's layers draw through its backend's `dropout`, `uniform` and `normal`, each from a generator whose state would
have to be a variable of the file. Here the n-th draw of a step has the key (seed + n · φ, step) instead: a step draws
other numbers than every other step, and the same again if it is repeated with the same seed.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf
from keras.src.backend.tensorflow import random as keras_random

from model_export.lowering import random

Draw = Callable[[Sequence[int], Any], Any]  # (shape, key int32[2]) -> numbers
_HALF = 16
_STRIDE = int(np.array(0x9E3779B9, np.uint32).view(np.int32))


@dataclass(frozen=True)
class Source:
    """Numbers from a key: as ops of the traced graph that are lowered later, or as they are lowered to."""

    uniform: Draw
    normal: Draw
    words: Draw  # 32 random bits each, as int32


LOWERED_LATER = Source(
    uniform=tf.random.stateless_uniform,
    normal=tf.random.stateless_normal,
    words=partial(tf.random.stateless_uniform, minval=None, maxval=None, dtype=tf.int32),
)
AS_ON_DEVICE = Source(random.uniform, random.normal, random.words)


@contextmanager
def drawing(source: Source, seed: Any, step: Any) -> Iterator[None]:
    """Inside, every random layer that is traced draws from this seed and step, both int32 of shape [1].

    It changes Keras's backend for the while, so it is for one thread at a time.
    """
    drawn = 0

    def key() -> Any:
        nonlocal drawn
        drawn += 1
        return tf.concat([seed + tf.constant([drawn * _STRIDE & 0x7FFFFFFF], tf.int32), step], 0)

    def uniform(shape: Any, minval: float = 0.0, maxval: float = 1.0, dtype: Any = None, seed: Any = None) -> Any:
        return minval + (maxval - minval) * source.uniform(_static(shape), key())

    def normal(shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None) -> Any:
        return mean + stddev * source.normal(_static(shape), key())

    def dropout(inputs: Any, rate: float, noise_shape: Any = None, seed: Any = None) -> Any:
        """Srivastava et al., "Dropout" (2014), scaled by 1 / (1 − rate) in training, as Keras does.

        The rate is rounded to a multiple of 2⁻¹⁶, for a word of 32 bits decides over two numbers.
        """
        if rate in (0.0, 1.0):
            return inputs * (1.0 - rate)
        halves = _halves(source.words, _noise_shape(inputs, noise_shape), key())
        kept = tf.floor(halves * 2.0**-_HALF + (0.5 + round((1.0 - rate) * 2**_HALF) * 2.0**-_HALF))  # 1, or else 0
        return inputs * (kept * (1.0 / (1.0 - rate)))

    replaced = {"dropout": dropout, "normal": normal, "uniform": uniform}
    originals = {name: getattr(keras_random, name) for name in replaced}
    for name, function in replaced.items():
        setattr(keras_random, name, function)
    try:
        yield
    finally:
        for name, function in originals.items():
            setattr(keras_random, name, function)


def _halves(words: Draw, shape: Sequence[int], key: Any) -> Any:
    """Random integers of 16 bits, of either sign, as float32: two from every word."""
    first = shape[0] if shape else 1
    if len(shape) > 1 and shape[-1] % 2 == 0:
        return tf.reshape(_split(words([*shape[:-1], shape[-1] // 2], key)), shape)
    per_example = math.prod(shape) // first
    halves = tf.reshape(_split(words([first, (per_example + 1) // 2], key)), [first, -1])
    return tf.reshape(halves[:, :per_example], shape)


def _split(words: Any) -> Any:
    return tf.cast(tf.bitcast(words, tf.int16), tf.float32)


def _noise_shape(inputs: Any, noise_shape: Any) -> list[int]:
    if noise_shape is None:
        return list(inputs.shape)
    return [_size(size) or own for size, own in zip(noise_shape, inputs.shape, strict=True)]


def _static(shape: Any) -> list[int]:
    return [_size(size) for size in (tf.get_static_value(shape) if tf.is_tensor(shape) else shape)]


def _size(size: Any) -> int:
    """A size that may be a tensor, known all the same; 0 for None."""
    known = tf.get_static_value(size) if tf.is_tensor(size) else size
    return 0 if known is None else int(known)
