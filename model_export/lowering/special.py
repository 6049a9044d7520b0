"""The error function, which the exact GELU needs.

    erf(x) = x · P(x²) / Q(x²), with x clamped to ±4, beyond which erf is ±1 in float32        erfc(x) = 1 − erf(x)

P and Q are the minimax polynomials of Eigen's `generic_fast_erf_float`, which TensorFlow itself computes with; they are
exact to a few units in the last place. Abramowitz and Stegun's 7.1.26, the usual choice, is exact to 1.5e-7 only. The
gradients are in the graph already, as exponentials. Where erfc is tiny, its error is that of erf, absolutely.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from model_export.lowering.scope import Scope

_LIMIT = 4.0
# Coefficients of x⁰, x², x⁴, … .
_P = (
    -1.60960333262415e-02,
    -2.95459980854025e-03,
    -7.34990630326855e-04,
    -5.69250639462346e-05,
    -2.10102402082508e-06,
    2.77068142495902e-08,
    -2.72614225801306e-10,
)
_Q = (-1.42647390514189e-02, -7.37332916720468e-03, -1.68282697438203e-03, -2.13374055278905e-04, -1.45660718464996e-05)


def _polynomial(coefficients: Sequence[float], x: Any) -> Any:
    """Horner's scheme."""
    value = coefficients[-1] * x + coefficients[-2]
    for coefficient in reversed(coefficients[:-2]):
        value = value * x + coefficient
    return value


def _erf(x: Any) -> Any:
    x = tf.maximum(tf.minimum(x, _LIMIT), -_LIMIT)
    square = x * x
    return x * _polynomial(_P, square) / _polynomial(_Q, square)


def _lower_erf(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    (x,) = inputs
    return [_erf(x)]


def _lower_erfc(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    (x,) = inputs
    return [1.0 - _erf(x)]


LOWERINGS = {"Erf": _lower_erf, "Erfc": _lower_erfc}
