"""Sums over updates in 64-bit fixed point: the same updates give the same bytes in any order.

A float sum depends on its order (measured: 59 % of the entries of a float32 sum differ when the order changes). Here a
value v counts as the integer round(v x 2^fraction_bits), and integer addition is associative: partial sums made by
different workers merge to the same bits. With 32 fraction bits a step is 2.3e-10 and the range is +-2.1e9.

Nothing ever wraps or saturates: what a round's sum could not hold for its whole cohort is refused as `out_of_range`
when it arrives, and so is everything that is not finite.
"""

import math
from typing import Self

import numpy as np

from plans.errors import ContributionError
from plans.manifest import Aggregation, Work
from wire.errors import ErrorCode
from wire.tensors import Array, Tensors


def largest_value(entry: Aggregation, cohort: int) -> float:
    """The largest magnitude one contribution may have, so that `cohort` of them cannot overflow the sum.

    It is rounded down: the next float up, a power of two where the cohort is one, has no room.
    """
    room = ((1 << (entry.bits - 1)) - 1) // max(cohort, 1)
    limit = room / (1 << entry.fraction_bits)
    if math.ldexp(limit, entry.fraction_bits) > room:
        limit = math.nextafter(limit, 0.0)
    return limit if entry.bound is None else min(limit, entry.bound)


def check_contribution(work: Work, update: Tensors, cohort: int) -> None:
    """Refuse an update that a sum over `cohort` such updates must not take.

    Raises:
        ContributionError: a value is not finite, or too large, or a weight is negative.
    """
    for entry in work.aggregation:
        limit = largest_value(entry, cohort)
        for name in entry.tensors:
            _check_values(name, update[name], limit)
        if entry.weight is not None and update[entry.weight] < 0:
            raise ContributionError(
                ErrorCode.OUT_OF_RANGE,
                f"the weight {entry.weight!r} is {float(update[entry.weight])}; it is never negative",
            )


def _check_values(name: str, values: Array, limit: float) -> None:
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ContributionError(
            ErrorCode.NOT_FINITE, f"tensor {name!r} holds NaN or infinity; every value must be finite"
        )
    # `item` keeps the integers of an int64 exact, which a float would round up or down.
    largest = max(abs(values.max().item()), abs(values.min().item())) if values.size else 0
    if largest > limit:
        raise ContributionError(
            ErrorCode.OUT_OF_RANGE,
            f"tensor {name!r} holds {largest}; the largest magnitude that this round's sum has room for is {limit}",
        )


class FixedPointSum:
    """The running sum of a work's updates, as int64 arrays; see the module's description."""

    def __init__(self, work: Work, cohort: int) -> None:
        self._work = work
        self._cohort = cohort
        self._fraction_bits = {name: entry.fraction_bits for entry in work.aggregation for name in entry.tensors}
        self._sums = {name: np.zeros(port.spec.shape, np.int64) for name, port in work.update.items()}
        self.count = 0

    def accumulate(self, update: Tensors) -> None:
        """Count one update, checked again so that a damaged file cannot enter a sum.

        Raises:
            ContributionError: see `check_contribution`.
            OverflowError: more updates than the cohort that the bounds were worked out for.
        """
        check_contribution(self._work, update, self._cohort)
        self._count(1)
        for name, bits in self._fraction_bits.items():
            self._sums[name] += _to_fixed_point(update[name], bits)

    def merge(self, other: Self) -> None:
        """Add a partial sum of other updates of the same round."""
        self._count(other.count)
        for name in self._sums:
            self._sums[name] += other._sums[name]

    def finalize(self) -> dict[str, Array]:
        """The sums as logical tensors of the update's own dtypes.

        Raises:
            ContributionError: a sum does not fit its dtype.
        """
        return {
            name: _from_fixed_point(name, self._sums[name], bits, self._work.update[name].spec.dtype)
            for name, bits in self._fraction_bits.items()
        }

    def _count(self, more: int) -> None:
        if self.count + more > self._cohort:
            raise OverflowError(f"{self.count + more} updates in a sum that was made for {self._cohort}")
        self.count += more


def _to_fixed_point(values: Array, fraction_bits: int) -> Array:
    if values.dtype.kind == "f":
        scaled: Array = np.rint(values.astype(np.float64) * 2.0**fraction_bits).astype(np.int64)
        return scaled
    return values.astype(np.int64) << fraction_bits


def _from_fixed_point(name: str, sums: Array, fraction_bits: int, dtype: str) -> Array:
    if np.dtype(dtype).kind == "f":
        totals = np.asarray(sums / 2.0**fraction_bits)
        fits = np.abs(totals) <= float(np.finfo(dtype).max)
    else:
        totals = np.asarray(sums >> fraction_bits)
        fits = (totals >= np.iinfo(dtype).min) & (totals <= np.iinfo(dtype).max)
    if not np.all(fits):
        raise ContributionError(ErrorCode.OUT_OF_RANGE, f"the sum of tensor {name!r} does not fit {dtype}")
    return totals.astype(dtype)
