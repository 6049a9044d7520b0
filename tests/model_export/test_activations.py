"""Every activation of Keras and its gradient is what TensorFlow computes."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.model_export.conformance import Case, Family, check

pytestmark = pytest.mark.tensorflow

SHAPE = (7, 10)
_OTHER = {"deserialize", "get", "serialize", "threshold"}  # not activations, or one that takes parameters
ACTIVATIONS = [name for name in dir(keras.activations) if name.islower() and name[0] != "_" and name not in _OTHER]


def _wide(x: Any) -> Any:
    return 3.0 * x


CASES = [Case(name, getattr(keras.activations, name), (SHAPE,), draw=_wide) for name in ACTIVATIONS]
CASES += [
    Case("threshold", lambda x: keras.activations.threshold(x, 0.5, -1.0), (SHAPE,)),
    Case("relu_of_all_kinds", lambda x: keras.activations.relu(x, 0.2, 2.0, 0.1), (SHAPE,), draw=_wide),
    Case("gelu_approximate", lambda x: keras.activations.gelu(x, approximate=True), (SHAPE,), draw=_wide),
    Case("prelu", lambda x, a: tf.maximum(x, 0.0) + a * tf.minimum(x, 0.0), (SHAPE, (1, 10))),
    Case("erf", tf.math.erf, (SHAPE,), draw=_wide),
    Case("erfc", tf.math.erfc, (SHAPE,), draw=_wide),
    Case("rsqrt", tf.math.rsqrt, (SHAPE,), draw=lambda x: np.abs(x) + 0.3),
    Case("sqrt", tf.math.sqrt, (SHAPE,), draw=lambda x: np.abs(x) + 0.3),
    Case("reciprocal", tf.math.reciprocal, (SHAPE,), draw=lambda x: np.abs(x) + 0.3),
    Case("log1p", tf.math.log1p, (SHAPE,), draw=np.abs),
    Case("expm1", tf.math.expm1, (SHAPE,)),
    Case("power", tf.pow, (SHAPE, SHAPE), draw=lambda x: np.abs(x) + 0.3),
    Case("logsumexp", lambda x: tf.reduce_logsumexp(x, -1), (SHAPE,), draw=_wide),
    Case("kinks", lambda x: tf.nn.elu(x) + tf.nn.selu(x) + tf.nn.softsign(x), (SHAPE,), draw=np.round),
]


@pytest.fixture(scope="module")
def family() -> Family:
    return Family(CASES)


@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_an_activation_and_its_gradient_are_those_of_tensorflow(family: Family, name: str) -> None:
    check(family, name)
