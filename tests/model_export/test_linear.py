"""What directly follows a product is kept: TensorFlow's converter fuses a ReLU into some products and then loses it."""

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from model_export.signature import Signature
from tests.model_export.lowered import Lowered
from wire.tensors import Array, TensorSpec

pytestmark = pytest.mark.tensorflow

Product = Callable[[Any, Any], Any]
CONSTANT = np.arange(12, dtype=np.float32).reshape(4, 3) - 6

PRODUCTS: Mapping[str, tuple[tuple[int, ...], tuple[int, ...], Product]] = {
    "matrices": ((2, 4), (4, 3), tf.matmul),
    "one_row": ((1, 4), (4, 3), tf.matmul),
    "transposed_right": ((2, 4), (3, 4), lambda x, k: tf.matmul(x, k, transpose_b=True)),
    "transposed_right_below_many_rows": ((5, 4), (3, 4), lambda x, k: tf.matmul(x, k, transpose_b=True)),
    "transposed_left": ((4, 2), (4, 3), lambda x, k: tf.matmul(x, k, transpose_a=True)),
    "batch_of_none": ((2, 4), (4, 3), lambda x, k: tf.raw_ops.BatchMatMulV2(x=x, y=k)),
    "constant": ((2, 4), (1,), lambda x, k: tf.matmul(x, CONSTANT)),
    "stacked": ((2, 5, 4), (2, 4, 3), tf.matmul),
    "stacked_left": ((2, 5, 4), (4, 3), tf.matmul),
    "pointwise_convolution": ((2, 5, 5, 4), (1, 1, 4, 3), lambda x, k: tf.nn.conv2d(x, k, 1, "SAME")),
    "small_convolution": ((2, 5, 5, 4), (3, 3, 4, 3), lambda x, k: tf.nn.conv2d(x, k, 2, "SAME")),
    "large_convolution": ((2, 5, 5, 30), (3, 3, 30, 3), lambda x, k: tf.nn.conv2d(x, k, 1, "SAME")),
}
FOLLOWERS: Mapping[str, Callable[[Any], Any]] = {
    "nothing": lambda y: y,
    "relu": tf.nn.relu,
    "relu6": tf.nn.relu6,
    "tanh": tf.tanh,
    "clip": lambda y: tf.clip_by_value(y, -1.0, 1.0),
    "bias_and_relu": lambda y: tf.nn.relu(y + 1.0),
}
CASES = [f"{product}_{follower}" for product, follower in itertools.product(PRODUCTS, FOLLOWERS)]


def _signature(product: str, follower: str) -> Signature:
    shape, kernel, multiply = PRODUCTS[product]
    inputs = {"x": TensorSpec("float32", shape), "k": TensorSpec("float32", kernel)}
    return Signature(f"{product}_{follower}", inputs, lambda x, k: {"y": FOLLOWERS[follower](multiply(x, k))})


@pytest.fixture(scope="module")
def lowered() -> Lowered:
    return Lowered([_signature(product, follower) for product, follower in itertools.product(PRODUCTS, FOLLOWERS)])


@pytest.mark.parametrize("case", CASES)
def test_what_follows_a_product_is_kept(lowered: Lowered, case: str) -> None:
    inputs = _inputs(case)
    found, expected = lowered.on_device(case, inputs)["y"], lowered.in_tensorflow(case, inputs)["y"]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def _inputs(case: str) -> dict[str, Array]:
    shape, kernel, _ = next(PRODUCTS[product] for product in PRODUCTS if case in _cases_of(product))
    random = np.random.default_rng(0)
    return {"x": random.standard_normal(shape, np.float32), "k": random.standard_normal(kernel, np.float32)}


def _cases_of(product: str) -> list[str]:
    return [f"{product}_{follower}" for follower in FOLLOWERS]
