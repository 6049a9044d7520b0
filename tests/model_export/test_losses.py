"""Every loss of Keras and its gradient, and what its metrics count, is what TensorFlow computes."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.model_export.conformance import Case, Family, check
from wire.tensors import Array

pytestmark = pytest.mark.tensorflow

ROWS, CLASSES = 6, 5
RANDOM = np.random.default_rng(3)
LABELS = RANDOM.integers(0, CLASSES, ROWS).astype(np.int32)
BINARY = RANDOM.integers(0, 2, (ROWS, CLASSES)).astype(np.float32)
ONE_HOT = np.eye(CLASSES, dtype=np.float32)[LABELS]

REGRESSION = [
    "cosine_similarity",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
    "squared_hinge",
    "categorical_hinge",
]


def _on_logits(loss: Callable[[Any], Any], name: str) -> Case:
    return Case(name, loss, ((ROWS, CLASSES),), draw=lambda x: 3.0 * x)


def _of_pair(name: str) -> Case:
    return Case(name, getattr(keras.losses, name), ((ROWS, CLASSES), (ROWS, CLASSES)), draw=lambda x: np.abs(x) + 0.1)


def _on_probabilities(loss: Callable[[Any], Any], name: str) -> Case:
    def of_softmax(x: Any) -> Any:
        return loss(tf.nn.softmax(x))

    return Case(f"{name}_of_probabilities", of_softmax, ((ROWS, CLASSES),))


def _in_top(scores: Any, labels: Any) -> Any:
    return tf.cast(tf.math.in_top_k(labels, scores, 2), tf.float32)


def _tied(scores: Array) -> Array:
    scores = np.round(scores)
    scores[0, 0], scores[1, 1] = np.nan, np.inf
    return scores


CASES = [
    *map(_of_pair, REGRESSION),
    _on_logits(lambda x: keras.losses.binary_crossentropy(BINARY, x, from_logits=True), "binary"),
    _on_logits(lambda x: keras.losses.binary_focal_crossentropy(BINARY, x, from_logits=True), "binary_focal"),
    _on_logits(lambda x: keras.losses.categorical_crossentropy(ONE_HOT, x, from_logits=True), "categorical"),
    _on_logits(
        lambda x: keras.losses.categorical_crossentropy(ONE_HOT, x, from_logits=True, label_smoothing=0.1), "smoothed"
    ),
    _on_logits(lambda x: keras.losses.sparse_categorical_crossentropy(LABELS, x, from_logits=True), "sparse"),
    _on_probabilities(lambda p: keras.losses.binary_crossentropy(BINARY, p), "binary"),
    _on_probabilities(lambda p: keras.losses.binary_focal_crossentropy(BINARY, p), "binary_focal"),
    _on_probabilities(lambda p: keras.losses.categorical_crossentropy(ONE_HOT, p), "categorical"),
    _on_probabilities(lambda p: keras.losses.categorical_focal_crossentropy(ONE_HOT, p), "categorical_focal"),
    _on_probabilities(lambda p: keras.losses.sparse_categorical_crossentropy(LABELS, p), "sparse"),
    _on_probabilities(lambda p: keras.losses.dice(ONE_HOT, p), "dice"),
    _on_probabilities(lambda p: keras.losses.tversky(ONE_HOT, p), "tversky"),
    Case("in_top", _in_top, ((ROWS, CLASSES),), (LABELS,)),
    Case("in_top_with_ties", _in_top, ((ROWS, CLASSES),), (LABELS - 1,), draw=_tied),
    Case("top_accuracy", lambda x: keras.metrics.sparse_top_k_categorical_accuracy(LABELS, x, 2), ((ROWS, CLASSES),)),
    Case("accuracy", lambda x: keras.metrics.categorical_accuracy(ONE_HOT, x), ((ROWS, CLASSES),)),
]


@pytest.fixture(scope="module")
def family() -> Family:
    return Family(CASES)


@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_a_loss_and_its_gradient_are_those_of_tensorflow(family: Family, name: str) -> None:
    check(family, name)
