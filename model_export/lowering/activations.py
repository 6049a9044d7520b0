"""The gradients of activations.

They multiply the gradient g by a mask of SIGN or CAST: a comparison with a scalar broadcasts, which tflite-runtime 2.14
does 8 to 18 times slower.

    relu        g · sign(y)                 y = max(x, 0), the output
    relu6       g · [0 < y < 6]             y the output
    leaky relu  g · (α + (1 − α) · [x > 0]) x the input
    elu         g · (1 + min(y, 0))         y the output
    selu        g · (λ + [y < 0] · (y + λα − λ))
    softsign    g / (1 + |x|)²              x the input
    reciprocal  −g · y²                     y = 1/x, the output
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from model_export.lowering.scope import Scope


def _positive(x: Any) -> Any:
    """1 where x > 0, else 0, without a comparison."""
    return tf.sign(tf.nn.relu(x))


def _relu_gradient(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    g, features = inputs
    is_output = op.inputs[1].op.type == "Relu"
    return [g * (tf.sign(features) if is_output else _positive(features))]


def _relu6_gradient(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    g, features = inputs
    return [g * _positive(features) * _positive(6.0 - features)]


def _leaky_relu_gradient(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    g, x = inputs
    alpha = op.get_attr("alpha")
    return [g * (alpha + (1.0 - alpha) * _positive(x))]


def _elu_gradient(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    g, y = inputs
    return [g * (1.0 - tf.nn.relu(-y))]


# Klambauer et al., "Self-normalizing neural networks" (2017), equation 2.
_SELU_SCALE = 1.0507009873554804934193349852946
_SELU_ALPHA = 1.6732632423543772848170429916717


def _selu_gradient(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    g, y = inputs
    return [g * (_SELU_SCALE + _positive(-y) * (y + _SELU_SCALE * (_SELU_ALPHA - 1.0)))]


def _softsign_gradient(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    g, x = inputs
    return [g / tf.square(1.0 + tf.abs(x))]


def _reciprocal_gradient(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    y, g = inputs
    return [-g * tf.square(y)]


LOWERINGS = {
    "EluGrad": _elu_gradient,
    "InvGrad": _reciprocal_gradient,
    "LeakyReluGrad": _leaky_relu_gradient,
    "ReciprocalGrad": _reciprocal_gradient,
    "Relu6Grad": _relu6_gradient,
    "ReluGrad": _relu_gradient,
    "SeluGrad": _selu_gradient,
    "SoftsignGrad": _softsign_gradient,
}
