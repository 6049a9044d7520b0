"""What sums, means and extremes of many clients' tensors are, to the last bit.

A sum is the exact sum, rounded once to its dtype: the order of the clients cannot matter, and any runtime that sums
exactly gives the same. A sum that does not fit its dtype is an error, never wrapped and never infinite.
"""

import math
from contextlib import suppress
from fractions import Fraction
from typing import NoReturn

import numpy as np

from federated.language.errors import ExecutionError
from wire.tensors import Array

_UPPER_BITS = 32
_WIDE_BYTES = 8


def exact_sum(column: Array) -> Array:
    """The sum over the first axis.

    Raises:
        ExecutionError: it does not fit the dtype.
    """
    if column.dtype.kind == "f":
        return _float_sum(column)
    total, limits = _integer_sum(column), np.iinfo(column.dtype)
    fits = np.asarray((total >= limits.min) & (total <= limits.max), bool)
    if not fits.all():
        _refuse(column, total[~fits].flat[0])
    return np.asarray(total.astype(column.dtype))


def weighted_mean(column: Array, weights: Array) -> Array:
    """Σ w v / Σ w, where a client of weight zero counts for nothing, whatever its value.

    The products are rounded to the values' dtype, as a device does it; both sums are exact. NaN where Σ w is zero.
    """
    dtype = column.dtype
    rounded = weights.astype(dtype)
    broadcast = rounded.reshape(-1, *[1] * (column.ndim - 1))
    with np.errstate(invalid="ignore", over="ignore"):
        products = np.where(broadcast == 0, dtype.type(0), broadcast * column)
    total = exact_sum(rounded) if weights.dtype.kind == "f" else np.asarray(_integer_sum(weights)).astype(dtype)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(exact_sum(products) / total, dtype)


def extreme(column: Array, *, largest: bool) -> Array:
    """The largest, or smallest, over the first axis; of nobody, the dtype's own smallest, or largest."""
    limits = np.finfo(column.dtype) if column.dtype.kind == "f" else np.iinfo(column.dtype)
    if largest:
        return np.asarray(column.max(0, initial=limits.min), column.dtype)
    return np.asarray(column.min(0, initial=limits.max), column.dtype)


def _float_sum(column: Array) -> Array:
    """The exact sum, rounded once.

    An interval that holds the sum is found in float64; where both its ends round to the same number, that is it. The
    few other sums are made of fractions.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        total, margin = _enclosed_sum(column.astype(np.float64))
        rounded = np.asarray((total + margin).astype(column.dtype))
        is_certain = np.isfinite(rounded) & (rounded == (total - margin).astype(column.dtype))
    for index in np.argwhere(~is_certain):
        place = tuple(index)
        rounded[place] = _rounded(column, column[(slice(None), *place)])
    return rounded


def _enclosed_sum(sums: Array) -> tuple[Array, Array]:
    """A sum in float64, and more than what it can be wrong by.

    Pairs are added with Knuth's TwoSum, whose error is exact: s = a + b, e = (a - (s - t)) + (b - t) where t = s - a.
    These errors, of 2^-53 of the terms, are summed in float64 themselves: what is lost is below n 2^-105 Σ|v|.
    """
    if not len(sums):
        return np.zeros(sums.shape[1:]), np.zeros(sums.shape[1:])
    lost = np.abs(sums).sum(0) * (len(sums) * 2.0**-105)
    errors = np.zeros_like(sums)
    while len(sums) > 1:
        if len(sums) % 2:
            sums, errors = (np.concatenate([half, np.zeros_like(half[:1])]) for half in (sums, errors))
        a, b = sums[::2], sums[1::2]
        s = a + b
        t = s - a
        errors = errors[::2] + errors[1::2] + ((a - (s - t)) + (b - t))
        sums = s
    total = sums[0] + errors[0]
    return np.asarray(total), np.asarray(2 * (lost + np.abs(total) * 2.0**-53))


def _rounded(column: Array, values: Array) -> Array:
    """The exact sum of some finite values in the column's dtype.

    On the way to a narrower dtype float64 rounds to odd, so that the last rounding is the only one that shows: Boldo
    and Melquiond, "Emulation of a FMA and Correctly Rounded Sums: Proved Algorithms Using Rounding to Odd" (2008).
    """
    if not np.isfinite(values).all():
        _refuse(column, float(values.astype(np.float64).sum()))
    if column.dtype == np.float64:
        with suppress(OverflowError):  # of a part of the sum; all of it may fit
            return np.asarray(math.fsum(values))
    exact = sum((Fraction(float(value)) for value in values), Fraction(0))
    try:
        nearest = np.float64(float(exact))
    except OverflowError:
        _refuse(column, "one beyond 10^308")
    if column.dtype != np.float64 and Fraction(float(nearest)) != exact and not nearest.view(np.int64) & 1:
        nearest = np.nextafter(nearest, np.inf if exact > Fraction(float(nearest)) else -np.inf)
    with np.errstate(over="ignore"):
        rounded = np.asarray(nearest).astype(column.dtype)
    if not np.isfinite(rounded):
        _refuse(column, float(nearest))
    return rounded


def _integer_sum(column: Array) -> Array:
    """The exact sum as Python's integers, from sums of the upper and the lower 32 bits."""
    if column.dtype.itemsize < _WIDE_BYTES:
        return np.asarray(np.asarray(column.sum(0, dtype=np.int64)).astype(object))
    upper, lower = column >> _UPPER_BITS, column & ((1 << _UPPER_BITS) - 1)
    sums = (np.asarray(half.sum(0, dtype=np.int64)).astype(object) for half in (upper, lower))
    high, low = sums
    return np.asarray(high * (1 << _UPPER_BITS) + low)


def _refuse(column: Array, total: object) -> NoReturn:
    raise ExecutionError(f"a sum does not fit {column.dtype}: {total}", fix="sum a wider dtype, or smaller values")
