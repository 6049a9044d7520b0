"""Normalizations and attention of Keras and of TensorFlow, and their gradients, are what TensorFlow computes."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tests.model_export.conformance import Case, Family, check, of_layer

pytestmark = pytest.mark.tensorflow

IMAGE, SEQUENCE = (2, 5, 4, 6), (2, 5, 6)


def _fused(x: Any, gamma: Any, beta: Any) -> Any:
    y, mean, variance = tf.compat.v1.nn.fused_batch_norm(x, gamma, beta)
    return tf.concat([tf.reshape(y, [-1]), mean, variance], 0)


def _frozen(x: Any, gamma: Any, beta: Any, mean: Any, variance: Any) -> Any:
    return tf.compat.v1.nn.fused_batch_norm(x, gamma, beta, mean, tf.square(variance), is_training=False)[0]


def _additive(q: Any, k: Any) -> Any:
    return tf.nn.softmax(tf.reduce_sum(tf.tanh(q[:, :, tf.newaxis] + k[:, tf.newaxis]), -1))


def _attention(layer: Any) -> Any:
    layer.build(SEQUENCE, SEQUENCE)
    return lambda x, *weights: layer.stateless_call(list(weights), [], x, x)[0]


def _of_attention(name: str, layer: Any) -> Case:
    function = _attention(layer)
    shapes = (SEQUENCE, *(tuple(variable.shape) for variable in layer.trainable_variables))
    # The gradient of a key's bias is zero in exact numbers: what is left is the rounding of its summands.
    return Case(name, function, shapes, tolerance=2e-2)


CASES = [
    Case("fused_batch_norm", _fused, (IMAGE, (6,), (6,))),
    Case("fused_batch_norm_frozen", _frozen, (IMAGE, (6,), (6,), (6,), (6,))),
    Case("local_response", lambda x: tf.nn.local_response_normalization(x, 2, 1.5, 0.4, 0.75), (IMAGE,)),
    of_layer("layer_norm", layers.LayerNormalization(), SEQUENCE),
    of_layer("layer_norm_of_image", layers.LayerNormalization(axis=[1, 2, 3]), IMAGE),
    of_layer("group_norm", layers.GroupNormalization(3), IMAGE),
    of_layer("group_norm_of_sequence", layers.GroupNormalization(2), SEQUENCE),
    of_layer("unit_norm_of_image", layers.UnitNormalization(axis=[1, 2]), IMAGE),
    of_layer("rms_norm", layers.RMSNormalization(), SEQUENCE),
    of_layer("unit_norm", layers.UnitNormalization(), SEQUENCE),
    _of_attention("attention_heads", layers.MultiHeadAttention(2, 3)),
    _of_attention("attention_grouped", layers.GroupQueryAttention(3, 4, 2)),
    Case("attention", lambda q, k, v: keras.layers.Attention()([q, v, k]), (SEQUENCE, SEQUENCE, SEQUENCE)),
    Case(
        "additive", lambda q, k: tf.nn.softmax(tf.reduce_sum(tf.tanh(q[:, :, None] + k[:, None]), -1)), (SEQUENCE,) * 2
    ),
    Case("largest", lambda x: tf.cast(keras.ops.argmax(x, -1), tf.float32), (SEQUENCE,), draw=np.round),
]


@pytest.fixture(scope="module")
def family() -> Family:
    return Family(CASES)


@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_a_normalization_and_its_gradient_are_those_of_tensorflow(family: Family, name: str) -> None:
    check(family, name)
