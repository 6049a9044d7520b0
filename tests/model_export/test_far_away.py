"""Functions of float32 are right where their arguments are tiny, large and huge, and so are their gradients."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.model_export.on_runtimes import Called, OnRuntimes

pytestmark = pytest.mark.tensorflow

_SIZES = np.array([0, 1e-8, 1e-3, 0.5, 1, 20, 88, 100, 1e4], np.float32)
POINTS = np.concatenate([_SIZES, -_SIZES])
HUGE = np.concatenate([np.geomspace(1e5, 3e38, 60), -np.geomspace(1e5, 3e38, 60)]).astype(np.float32)
NOT_FINITE = np.array([np.nan, np.inf, -np.inf, 1.0, np.finfo(np.float32).max / 2, 0.0], np.float32)


def _log_sum(x: Any) -> Any:
    return tf.reduce_logsumexp(tf.stack([x, 0.5 * x, tf.zeros_like(x)], 1), 1)


def _cross_entropy(x: Any) -> Any:
    return tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.fill(x.shape, 0.3), logits=x)


SMOOTH: Mapping[str, Callable[[Any], Any]] = {
    "softplus": tf.nn.softplus,
    "log_sigmoid": tf.math.log_sigmoid,
    "logsumexp": _log_sum,
    "sigmoid_cross_entropy": _cross_entropy,
    "log1p": lambda x: tf.math.log1p(tf.abs(x)),
    "expm1": lambda x: tf.math.expm1(tf.minimum(x, 20.0)),
    "selu": tf.nn.selu,
    "silu": tf.nn.silu,
}


def _gradient(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def gradient(x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.reduce_sum(function(x))
        return tf.ensure_shape(tape.gradient(total, x), x.shape)

    return gradient


CALLED = {
    **{name: Called(function, [[POINTS]]) for name, function in SMOOTH.items()},
    **{f"gradient of {name}": Called(_gradient(function), [[POINTS]]) for name, function in SMOOTH.items()},
    **{name: Called(getattr(tf, name), [[HUGE]]) for name in ("sin", "cos")},
    "is_finite": Called(tf.math.is_finite, [[NOT_FINITE]]),
    "is_inf": Called(tf.math.is_inf, [[NOT_FINITE]]),
    "is_finite after a division": Called(lambda x: tf.math.is_finite(1.0 / x), [[NOT_FINITE]]),
    "is_inf after a division": Called(lambda x: tf.math.is_inf(1.0 / x), [[NOT_FINITE]]),
}
# Where both sides round what is of the size of 1: relative and absolute.
TOLERANCES = {"logsumexp": (2e-5, 2e-7), "gradient of selu": (2e-5, 2e-7)}


@pytest.fixture(scope="module")
def runtimes() -> OnRuntimes:
    return OnRuntimes(CALLED)


@pytest.mark.parametrize("name", CALLED)
def test_a_function_is_that_of_tensorflow_however_large_its_argument(runtimes: OnRuntimes, name: str) -> None:
    assert not runtimes.differing(name, *TOLERANCES.get(name, (2e-5, 1e-12)))
