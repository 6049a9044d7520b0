"""Batch normalisation over the real examples of a padded batch.

With m_b = 1 for an example and 0 for padding, and P the positions that one example has for a channel, the moments are

    n = P Σ_b m_b      μ = Σ m x / n      σ² = Σ m (x − μ)² / n

which on the padded batch are what Keras computes on the batch without its padding: the biased variance, for the output
and for the moving average alike. Ioffe and Szegedy, "Batch Normalization" (2015), Algorithm 1; unlike the paper, Keras
moves the average towards the biased variance too.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf
from keras.layers import BatchNormalization

from model_export.errors import UnsupportedModelError


@contextmanager
def masked_moments(weight: Any) -> Iterator[None]:
    """Inside, every batch normalisation that is traced takes its moments over the examples of positive weight.

    It changes Keras's class for the while, so it is for one thread at a time.

    Args:
        weight: [batch], 0 for padding.

    Raises:
        UnsupportedModelError: a layer normalises something else than a batch of examples.
    """
    original = BatchNormalization._moments
    problems = []  # Keras would wrap what is raised while it calls a layer

    def moments(layer: Any, inputs: Any, mask: Any) -> tuple[Any, ...]:
        if mask is not None or layer._reduction_axes[0] != 0 or inputs.shape[0] != weight.shape[0]:
            where, problem = f"layer {layer.name!r}", "it normalises something else than a batch of examples"
            problems.append(UnsupportedModelError(where, problem, "take the mask or the reshaping before it away"))
            return tuple(original(layer, inputs, mask))
        return _moments(inputs, tf.sign(weight), layer._reduction_axes)

    BatchNormalization._moments = moments
    try:
        yield
    finally:
        BatchNormalization._moments = original
    if problems:
        raise problems[0]


def _moments(x: Any, present: Any, axes: list[int]) -> tuple[Any, Any]:
    mask = tf.reshape(present, [-1] + [1] * (x.shape.rank - 1))
    examples = tf.reduce_sum(present)
    n = math.prod(x.shape[axis] for axis in axes[1:]) * (examples + 1.0 - tf.sign(examples))
    mean = tf.reduce_sum(x * mask, axes) / n
    around = (
        x - tf.stop_gradient(tf.reshape(mean, [1 if axis in axes else -1 for axis in range(x.shape.rank)]))
    ) * mask
    return mean, tf.reduce_sum(tf.square(around), axes) / n
