"""Ops on integers that TFLite has for other dtypes only, and remainders that would end the process.

On uint8 TFLite has what a quantised network needs, and takes numbers for quantised ones elsewhere: a mean is 0, an
equality ends the process. So arithmetic on uint8 is done on int32 and cast back, which wraps as TensorFlow does. For
int64 there are sums, products, comparisons and remainders; the rest is made of them:

    |x|, sign x      by comparison with 0; tflite-runtime 2.14 ends the process over the smallest int32's |x|
    x mod −1         is x mod 1: the smallest integer mod −1 ends the process, as the processor's division does
    ⌊x/y⌋            q = Σ d, d = trunc(r/y) in float32, r ← r − d y; then the rest, r − (x mod y), is divided exactly
    xⁿ               by squaring, for a known n
    argmax           the first place that holds the maximum
"""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from model_export.errors import LoweringError
from model_export.lowering.axes import along
from model_export.lowering.broadcasting import elementwise
from model_export.lowering.folding import known_sizes
from model_export.lowering.scope import Scope

_ARITHMETIC = (
    "Add AddN AddV2 Cumprod Cumsum Equal FloorDiv FloorMod Greater GreaterEqual Less LessEqual Max Maximum Mean Min "
    "Minimum Mul NotEqual OneHot Pad PadV2 Pow Prod Relu SelectV2 SpaceToDepth Square SquaredDifference Sub Sum "
    "TensorScatterAdd TensorScatterSub TensorScatterUpdate UnsortedSegmentSum"
)
AS_INT32 = {"bool": frozenset({"Pad", "PadV2", "SpaceToDepth"}), "uint8": frozenset(_ARITHMETIC.split())}
"""The ops that are done on int32 instead, by the dtype that they are given."""

_BELOW = 1.0 - 2.0**-20  # more than float32 rounds a quotient up
_QUOTIENTS = 3  # each takes 19 of the 63 bits of a quotient, at least

Lower = Callable[[Any, Sequence[Any], Scope], Sequence[Any] | None]


def _of_integers(form: Callable[..., Any], *dtypes: Any) -> Lower:
    """The lowering of an op whose builtin lacks these dtypes."""

    def lower(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any] | None:
        return [form(*inputs)] if inputs[0].dtype in dtypes else None

    return lower


def _zero(x: Any) -> Any:
    return tf.zeros([], x.dtype)


def _magnitude(x: Any) -> Any:
    return tf.where(x < _zero(x), -x, x)


def _sign(x: Any) -> Any:
    return tf.cast(x > _zero(x), x.dtype) - tf.cast(x < _zero(x), x.dtype)


def _remainder(x: Any, y: Any) -> Any:
    divisors = known_sizes(y)
    if divisors is None or -1 in divisors:
        y = tf.where(tf.equal(y, -tf.ones([], y.dtype)), tf.ones([], y.dtype), y)
    return tf.math.floormod(x, y)


def _quotient(x: Any, y: Any) -> Any:
    divisor = tf.cast(y, tf.float32)
    quotient, rest = tf.zeros_like(x), x
    for _ in range(_QUOTIENTS):
        part = tf.cast(tf.cast(rest, tf.float32) / divisor * _BELOW, x.dtype)
        quotient, rest = quotient + part, rest - part * y
    last = tf.cast(rest - _remainder(x, y), tf.float32) / divisor
    return quotient + tf.cast(tf.round(last), x.dtype)


def _floor_mod(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any] | None:
    x, y = inputs
    if (made := elementwise(op, inputs, scope)) is not None or not x.dtype.is_integer:
        return made
    return [_remainder(x, y)]


def _floor_div(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any] | None:
    x, y = inputs
    return [_quotient(x, y)] if x.dtype == tf.int64 else elementwise(op, inputs, scope)


def _power(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any] | None:
    x, exponent = inputs
    if x.dtype != tf.int64:
        return elementwise(op, inputs, scope)
    known = set(known_sizes(exponent) or [-1])
    if len(known) != 1 or min(known) < 0:
        raise LoweringError("raises int64 to powers that are not one constant; cast to int32, or multiply")
    made = tf.ones(op.outputs[0].shape, x.dtype)
    for bit in f"{known.pop():b}":
        made = made * made * x if bit == "1" else made * made
    return [made]


def _place_of(extreme: Callable[..., Any]) -> Lower:
    def lower(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any] | None:
        x, axis = inputs
        known = known_sizes(axis)
        if x.dtype != tf.int64 or known is None:
            return None
        place = known[0] % x.shape.rank
        first = along(x, place, lambda flat: _first_place(flat, extreme))
        return [tf.cast(tf.squeeze(first, [place]), op.outputs[0].dtype)]

    return lower


def _first_place(flat: Any, extreme: Callable[..., Any]) -> Any:
    size = flat.shape[1]
    places = tf.reshape(tf.range(size), [1, size, 1])
    is_there = tf.equal(flat, extreme(flat, 1, keepdims=True))
    return tf.reduce_min(tf.where(is_there, places, tf.constant(size)), 1, keepdims=True)


LOWERINGS = {
    "Abs": _of_integers(_magnitude, tf.int32, tf.int64),
    "ArgMax": _place_of(tf.reduce_max),
    "ArgMin": _place_of(tf.reduce_min),
    "FloorDiv": _floor_div,
    "FloorMod": _floor_mod,
    "Pow": _power,
    "Sign": _of_integers(_sign, tf.int64),
}
