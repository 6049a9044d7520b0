"""Losses that TensorFlow computes together with their gradient.

    sparse softmax cross-entropy   l = −Σ_c o_c · log softmax(z)_c     dl/dz = softmax(z) − o     o = onehot(label)

A label outside the classes has o = 0, so padding may hold any label: its weight is zero.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from model_export.lowering.scope import Scope


def _sparse_softmax_cross_entropy(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    logits, labels = inputs
    one_hot = tf.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    return _cross_entropy(logits, one_hot)


def _softmax_cross_entropy(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    return _cross_entropy(*inputs)


def _cross_entropy(logits: Any, targets: Any) -> Sequence[Any]:
    loss = -tf.reduce_sum(targets * tf.nn.log_softmax(logits), -1)
    return [loss, tf.nn.softmax(logits) - targets]


LOWERINGS = {
    "SoftmaxCrossEntropyWithLogits": _softmax_cross_entropy,
    "SparseSoftmaxCrossEntropyWithLogits": _sparse_softmax_cross_entropy,
}
