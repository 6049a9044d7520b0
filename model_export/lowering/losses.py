"""Losses that TensorFlow computes together with their gradient, and what metrics count.

    sparse softmax cross-entropy   l = −Σ_c o_c · log softmax(z)_c     dl/dz = softmax(z) − o     o = onehot(label)

    in top k                       fewer than k scores are larger than the label's; never if a score is not finite

A label outside the classes has o = 0, so padding may hold any label: its weight is zero.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from model_export.lowering.indices import narrowed
from model_export.lowering.scope import Scope


def _sparse_softmax_cross_entropy(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    logits, labels = inputs
    one_hot = tf.one_hot(narrowed(labels), logits.shape[-1], dtype=logits.dtype)
    return _cross_entropy(logits, one_hot)


def _softmax_cross_entropy(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    return _cross_entropy(*inputs)


def _cross_entropy(logits: Any, targets: Any) -> Sequence[Any]:
    loss = -tf.reduce_sum(targets * tf.nn.log_softmax(logits), -1)
    return [loss, tf.nn.softmax(logits) - targets]


def _in_top(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    scores, labels, k = inputs
    chosen = tf.one_hot(narrowed(labels), scores.shape[-1], dtype=scores.dtype)
    own = tf.reduce_sum(tf.where(chosen > 0.0, scores, tf.zeros_like(scores)), -1, keepdims=True)
    better = tf.reduce_sum(tf.cast(scores > own, tf.int32), -1)
    is_known = tf.reduce_all(tf.equal(scores - scores, 0.0), -1) & (tf.reduce_sum(chosen, -1) > 0.0)
    return [(better < tf.cast(k, tf.int32)) & is_known]


LOWERINGS = {
    "InTopKV2": _in_top,
    "SoftmaxCrossEntropyWithLogits": _softmax_cross_entropy,
    "SparseSoftmaxCrossEntropyWithLogits": _sparse_softmax_cross_entropy,
}
