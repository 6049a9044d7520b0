"""Gradients of activations, matrix products, losses and shape ops are what TensorFlow computes."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from model_export.signature import Signature
from tests.model_export.lowered import Lowered
from wire.tensors import Array, TensorSpec

pytestmark = pytest.mark.tensorflow

SHAPE = (4, 6)
LABELS = np.array([0, 5, 3, 3], np.int32)

FUNCTIONS: Mapping[str, Callable[[Any], Any]] = {
    "relu": tf.nn.relu,
    "relu6": lambda x: tf.nn.relu6(4.0 * x),
    "leaky_relu": lambda x: tf.nn.leaky_relu(x, 0.3),
    "relu_of_relu": lambda x: tf.nn.relu(tf.nn.relu(x) - 0.5),
    "softmax": tf.nn.softmax,
    "product_with_itself": lambda x: tf.matmul(x, x, transpose_b=True),
    "product_transposed_left": lambda x: tf.matmul(x, x, transpose_a=True),
    "product_transposed_twice": lambda x: tf.matmul(x, tf.reshape(x, [6, 4]), transpose_a=True, transpose_b=True),
    "sparse_cross_entropy": lambda x: tf.nn.sparse_softmax_cross_entropy_with_logits(LABELS, x),
    "cross_entropy": lambda x: tf.nn.softmax_cross_entropy_with_logits(tf.one_hot(LABELS, 6), x),
    "shape": lambda x: tf.reshape(x, [tf.shape(x)[1], tf.shape(x)[0]]) * tf.cast(tf.size(x), tf.float32),
    "zeros_like": lambda x: x + tf.zeros_like(x),
    "called_function": tf.function(lambda x: tf.nn.relu(x) * 2.0),
    "called_in_a_called_function": tf.function(lambda x: tf.function(tf.nn.relu)(x) + x),
}


def _signature(name: str) -> Signature:
    def body(x: Any) -> dict[str, Any]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = FUNCTIONS[name](x)
            total = tf.reduce_sum(y * y)
        return {"y": y, "dx": tape.gradient(total, x)}

    return Signature(name, {"x": TensorSpec("float32", SHAPE)}, body)


@pytest.fixture(scope="module")
def lowered() -> Lowered:
    return Lowered([_signature(name) for name in FUNCTIONS])


def _inputs() -> list[Array]:
    drawn = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
    at_the_kinks = np.tile(np.array([0.0, -0.0, 1.5, 2.0, -1.0, 6.0], np.float32), (SHAPE[0], 1))
    return [drawn, at_the_kinks]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_and_its_gradient_are_those_of_tensorflow(lowered: Lowered, name: str) -> None:
    for x in _inputs():
        found, expected = lowered.on_device(name, {"x": x}), lowered.in_tensorflow(name, {"x": x})
        for tensor, value in expected.items():
            np.testing.assert_allclose(found[tensor], value, rtol=1e-5, atol=1e-6, err_msg=tensor)
