"""Trigonometric and hyperbolic functions and their inverses, of which TFLite has sine, cosine and tanh.

Sine and cosine are TFLite's own, but not XNNPACK's: LiteRT 2.3's is off by 2e-4 at 1e8, −4891 at 1e10 and no number at
1e20. XNNPACK takes tensors of at most six axes, so these have seven.

Each is reduced to a range where a polynomial is exact to float32's rounding, and both ranges are computed and masked.
The polynomials and reductions are those of Moshier's Cephes library (1989), single precision. With a = |x|:

    sinh   x P(x²) for a < 1, else ± ½ (e^a − e^−a)              cosh   ½ (e^a + e^−a), as e^(a/2) squared
    atan   P of a, of (a − 1)/(a + 1) + ¼π or of −1/a + ½π       asin   P of a, or ½π − 2 asin √(½ (1 − a)) for a > ½
    asinh  x P(x²) for a < ½, else ± ln(a + √(a² + 1))           acosh  √z P(z) for z = x − 1 < ½, or ln(x + √(x² − 1))
    atanh  x P(x²) for a < ½, else ½ ln((1 + x)/(1 − x))         tan    sin/cos

The gradients are in the graph already, as these and simpler functions.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from model_export.lowering.scope import Scope

# Coefficients of x⁰, x¹, x², … of what stands beside the first term.
_SINH = (1 / 6, 1 / 120, 1 / 5040, 1 / 362880, 1 / 39916800)
_ATAN = (-3.33329491539e-1, 1.99777106478e-1, -1.38776856032e-1, 8.05374449538e-2)
_ASIN = (1.6666752422e-1, 7.4953002686e-2, 4.5470025998e-2, 2.4181311049e-2, 4.2163199048e-2)
_ASINH = (-1.6666288134e-1, 7.4847586088e-2, -4.2699340972e-2, 2.0122003309e-2)
_ACOSH = (1.4142135263, -1.1784741703e-1, 2.6454905019e-2, -7.5272886713e-3, 1.7596881071e-3)
_ATANH = (3.33337300303e-1, 1.99782164500e-1, 1.46691431730e-1, 8.24370301058e-2, 1.81740078349e-1)

_XNNPACK_AXES = 6
_LARGE = 1e30  # stands for what is larger, where only 1/x or x² is still to come
_SQUARED = 1e4  # above it √(a² ± 1) is a


def above(x: Any, limit: float) -> Any:
    """1 where x is above a limit, else 0."""
    return tf.sign(tf.nn.relu(x - limit))


def _polynomial(coefficients: Sequence[float], x: Any) -> Any:
    """Horner's scheme."""
    value = coefficients[-1] * x + coefficients[-2]
    for coefficient in reversed(coefficients[:-2]):
        value = value * x + coefficient
    return value


def _odd(coefficients: Sequence[float], x: Any) -> Any:
    """x + x³ P(x²)."""
    square = x * x
    return x + x * square * _polynomial(coefficients, square)


def choose(is_second: Any, first: Any, second: Any) -> Any:
    """One of two finite values."""
    return (1.0 - is_second) * first + is_second * second


def _sinh(x: Any) -> Any:
    a = tf.abs(x)
    root = tf.exp(0.5 * a)  # e^a itself would be infinite too early
    is_large = above(a, 1.0)
    large = (0.5 * root) * root - 0.5 / (root * root)
    return (1.0 - is_large) * _odd(_SINH, tf.clip_by_value(x, -1.0, 1.0)) + tf.sign(x) * (is_large * large)


def _cosh(x: Any) -> Any:
    root = tf.exp(0.5 * tf.abs(x))
    return (0.5 * root) * root + 0.5 / (root * root)


def _exactly(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function of each element, not by XNNPACK."""
    return lambda x: tf.reshape(function(tf.reshape(x, [1] * _XNNPACK_AXES + [-1])), [-1])


_sin, _cos = _exactly(tf.sin), _exactly(tf.cos)


def _tan(x: Any) -> Any:
    return _sin(x) / _cos(x)


def _atan(x: Any) -> Any:
    a = tf.minimum(tf.abs(x), _LARGE)
    is_large, is_some = above(a, 1.0 + math.sqrt(2.0)), above(a, math.sqrt(2.0) - 1.0)
    reduced = choose(is_some, a, (a - 1.0) / (a + 1.0))
    reduced = (1.0 - is_large) * reduced - is_large / tf.maximum(a, 1.0)
    return tf.sign(x) * (0.25 * math.pi * (is_some + is_large) + _odd(_ATAN, reduced))


def _asin(x: Any) -> Any:
    a = tf.abs(x)
    is_large = above(a, 0.5)
    square = choose(is_large, a * a, 0.5 * (1.0 - a))
    root = choose(is_large, a, tf.sqrt(square))
    arc = root + root * square * _polynomial(_ASIN, square)
    return tf.sign(x) * choose(is_large, arc, 0.5 * math.pi - 2.0 * arc)


def _acos(x: Any) -> Any:
    """½π − asin x, but 2 asin √(½ (1 − a)), or π without that, where a is above ½."""
    a = tf.abs(x)
    is_large, is_negative = above(a, 0.5), tf.sign(tf.nn.relu(-x))
    square = choose(is_large, a * a, 0.5 * (1.0 - a))
    root = choose(is_large, x, tf.sqrt(square))
    arc = root + root * square * _polynomial(_ASIN, square)
    large = 2.0 * arc + is_negative * (math.pi - 4.0 * arc)
    return choose(is_large, 0.5 * math.pi - arc, large)


def _asinh(x: Any) -> Any:
    a = tf.abs(x)
    some = tf.minimum(a, _SQUARED)
    large = tf.math.log(a + tf.sqrt(some * some + 1.0) + (a - some))
    return choose(above(a, 0.5), _odd(_ASINH, tf.clip_by_value(x, -0.5, 0.5)), tf.sign(x) * large)


def _acosh(x: Any) -> Any:
    z = x - 1.0
    some = tf.minimum(x, _SQUARED)
    large = tf.math.log(x + tf.sqrt(tf.maximum((some - 1.0) * (some + 1.0), 0.0)) + (x - some))
    small = tf.sqrt(tf.minimum(z, 0.5)) * _polynomial(_ACOSH, tf.minimum(z, 0.5))
    return choose(above(z, 0.5), small, large)


def small_atanh(x: Any) -> Any:
    """artanh x for |x| ≤ ½."""
    return _odd(_ATANH, x)


def _atanh(x: Any) -> Any:
    is_large = above(tf.abs(x), 0.5)
    small = small_atanh(tf.clip_by_value(x, -0.5, 0.5))
    return (1.0 - is_large) * small + is_large * (0.5 * tf.math.log((1.0 + x) / (1.0 - x)))


def of_float32(function: Callable[[Any], Any]) -> Callable[[Any, Sequence[Any], Scope], Sequence[Any] | None]:
    """The lowering of an op that is a function of each element, for float32; it gets a vector."""

    def lower(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any] | None:
        (x,) = inputs
        if x.dtype != tf.float32:
            return None
        flat = tf.reshape(x, [-1])  # scalars meet it at any rank
        return [tf.reshape(function(flat), x.shape)]

    return lower


LOWERINGS = {
    "Acos": of_float32(_acos),
    "Acosh": of_float32(_acosh),
    "Asin": of_float32(_asin),
    "Asinh": of_float32(_asinh),
    "Atan": of_float32(_atan),
    "Atanh": of_float32(_atanh),
    "Cos": of_float32(_cos),
    "Cosh": of_float32(_cosh),
    "Sin": of_float32(_sin),
    "Sinh": of_float32(_sinh),
    "Tan": of_float32(_tan),
}
