"""Normalization that TensorFlow computes in one op: of a batch (`fused_batch_norm`), and of neighbouring channels.

Batch, with μ and σ² the moments of every channel over n positions, s = 1/√(σ² + ε), x̂ = (x − μ) s:

    y = γ x̂ + β      dβ = Σ g      dγ = Σ g x̂      dx = γ s (g − (dβ + x̂ dγ) / n), or γ s g where μ and σ² are given

Source: Ioffe and Szegedy, "Batch normalization" (2015). Channels, with B the band matrix of neighbours and
d = κ + α B x² :

    y = x d^−β       dx = g d^−β − 2αβ x · B (g x d^(−β−1))

Source: Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks" (2012).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from model_export.errors import LoweringError
from model_export.lowering.linear import multiply_axis
from model_export.lowering.scope import Scope

_POSITIONS = [0, 1, 2]


def _check_layout(op: Any) -> None:
    if op.get_attr("data_format") != b"NHWC":
        raise LoweringError("has its channels first; only channels_last has a lowering")
    if op.get_attr("is_training") and "exponential_avg_factor" in op.node_def.attr and _average_factor(op) != 1.0:
        raise LoweringError("averages its moments itself, which has no lowering; keep them in variables")


def _average_factor(op: Any) -> float:
    return float(op.get_attr("exponential_avg_factor"))


def _batch_norm(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    _check_layout(op)
    x, gamma, beta, mean, variance = inputs
    unbiased = variance
    if op.get_attr("is_training"):
        count = x.shape.num_elements() // x.shape[3]
        mean = tf.reduce_mean(x, _POSITIONS)
        variance = tf.reduce_mean(tf.square(x - mean), _POSITIONS)
        unbiased = variance * (count / max(count - 1, 1))
    y = (x - mean) * (gamma * tf.math.rsqrt(variance + op.get_attr("epsilon"))) + beta
    return [y, mean, unbiased, mean, variance, tf.zeros_like(mean)]


def _batch_norm_gradient(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    _check_layout(op)
    g, x, gamma, mean, variance, _ = inputs
    spread = tf.math.rsqrt(variance + op.get_attr("epsilon"))
    normalized = (x - mean) * spread
    d_beta = tf.reduce_sum(g, _POSITIONS)
    d_gamma = tf.reduce_sum(g * normalized, _POSITIONS)
    if op.get_attr("is_training"):
        count = x.shape.num_elements() // x.shape[3]
        g -= (d_beta + normalized * d_gamma) * (1.0 / count)
    return [g * (gamma * spread), d_gamma, d_beta, tf.zeros([0]), tf.zeros([0])]


def _neighbours(op: Any, channels: int) -> Any:
    """B, 1 where two channels are at most `depth_radius` apart."""
    places = np.arange(channels)
    return (abs(places[:, np.newaxis] - places) <= op.get_attr("depth_radius")).astype(np.float32)


def _channel_norm(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    (x,) = inputs
    return [x * tf.pow(_denominator(op, x), -op.get_attr("beta"))]


def _channel_norm_gradient(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    g, x, _ = inputs
    alpha, beta = op.get_attr("alpha"), op.get_attr("beta")
    denominator = _denominator(op, x)
    power = tf.pow(denominator, -beta)
    shared = multiply_axis(_neighbours(op, x.shape[3]), g * x * power / denominator, 3)
    return [g * power - (2.0 * alpha * beta) * x * shared]


def _denominator(op: Any, x: Any) -> Any:
    squares = multiply_axis(_neighbours(op, x.shape[3]), tf.square(x), 3)
    return op.get_attr("bias") + op.get_attr("alpha") * squares


LOWERINGS = {
    "FusedBatchNormGradV3": _batch_norm_gradient,
    "FusedBatchNormV3": _batch_norm,
    "LRN": _channel_norm,
    "LRNGrad": _channel_norm_gradient,
}
