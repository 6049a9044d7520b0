"""Exponentials and logarithms that keep their digits near zero, and stay finite where they are.

TFLite has e^x and ln x, and the converter writes the rest with these alone: the softplus of 100 is infinite then, and
ln(1 + x) of a small x is 0.

    softplus   max(x, 0) + ln(1 + e^−|x|)
    ln(1 + x)  2 artanh (x / (2 + x)) for |x| < ½, else as it is written; XNNPACK's ln loses digits near 1
    e^x − 1    2 t / (1 − t) with t = tanh ½x for |x| < 1, else as it is written

The gradients are in the graph already, as these and simpler functions.
"""

from typing import Any

import tensorflow as tf

from model_export.lowering.trigonometry import above, choose, of_float32, small_atanh


def _log1p(x: Any) -> Any:
    small = tf.clip_by_value(x, -0.5, 0.5)
    return choose(above(tf.abs(x), 0.5), 2.0 * small_atanh(small / (2.0 + small)), tf.math.log(1.0 + x))


def _expm1(x: Any) -> Any:
    t = tf.tanh(0.5 * tf.clip_by_value(x, -1.0, 1.0))
    return choose(above(tf.abs(x), 1.0), 2.0 * t / (1.0 - t), tf.exp(x) - 1.0)


def _softplus(x: Any) -> Any:
    return tf.nn.relu(x) + _log1p(tf.exp(-tf.abs(x)))


LOWERINGS = {"Expm1": of_float32(_expm1), "Log1p": of_float32(_log1p), "Softplus": of_float32(_softplus)}
