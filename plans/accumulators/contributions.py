"""Which updates may be counted: checked when one arrives, and again when it is read for the sum.

Nothing ever wraps or saturates: what a round's sum could not hold for its whole cohort is refused as `out_of_range`,
and so is what lies outside the bounds that the plan declares. Nothing is counted that is not finite.
"""

import math

from plans.errors import ContributionError
from plans.finiteness import is_finite, of_nobody
from plans.manifest import Aggregation, Kind, Work
from wire.errors import ErrorCode
from wire.tensors import Array, Tensors

_MOST_BITS = 64  # of a sum that is not wide


def largest_value(entry: Aggregation, cohort: int) -> float:
    """The largest magnitude one contribution may have, so that `cohort` of them cannot overflow the entry's sum.

    It is rounded down: the next float up, a power of two where the cohort is one, has no room. A noise takes half of
    the room for itself.
    """
    fraction_bits = 0 if entry.kind is Kind.SECURE_SUM else entry.fraction_bits
    bits = min(entry.bits, _MOST_BITS) - 1 - (entry.noise is not None)
    room = ((1 << bits) - 1) // max(cohort, 1)
    limit = room / (1 << fraction_bits)
    if math.ldexp(limit, fraction_bits) > room:
        limit = math.nextafter(limit, 0.0)
    return limit if entry.bound is None else min(limit, entry.bound)


def check_contribution(work: Work, update: Tensors, cohort: int) -> None:
    """Refuse an update that an aggregate over `cohort` such updates must not take.

    Raises:
        ContributionError: a value is not finite, too large or too small, or a weight is negative.
    """
    if (name := not_finite(work, update)) is not None:
        raise ContributionError(
            ErrorCode.NOT_FINITE, f"tensor {name!r} holds NaN or infinity; every value must be finite"
        )
    for entry in work.aggregation:
        for name in entry.tensors:
            _check_range(entry, name, update[name], cohort)
        if entry.weight is not None and update[entry.weight] < 0:
            raise ContributionError(
                ErrorCode.OUT_OF_RANGE,
                f"the weight {entry.weight!r} is {float(update[entry.weight])}; it is never negative",
            )


def not_finite(work: Work, update: Tensors) -> str | None:
    """The first tensor of an update that is not finite; see `plans.finiteness`.

    A device that has nothing to compare may still give a minimum the largest number, and a maximum the smallest.
    """
    for entry in work.aggregation:
        is_extreme = entry.kind in (Kind.MIN, Kind.MAX)
        for name in entry.tensors:
            values = update[name]
            if not is_finite(values[values != of_nobody(values.dtype, entry.kind)] if is_extreme else values):
                return name
    return None


def _check_range(entry: Aggregation, name: str, values: Array, cohort: int) -> None:
    match entry.kind:
        case Kind.MODULAR_SUM if entry.modulus is not None:
            _check_between(name, values, entry.modulus - 1)
        case Kind.SECURE_SUM:
            _check_between(name, values, largest_value(entry, cohort))
        case Kind.SUM | Kind.MEAN if not entry.is_wide:
            _check_magnitude(name, values, largest_value(entry, cohort))
        case _ if entry.bound is not None:
            _check_magnitude(name, values, entry.bound)


def _check_magnitude(name: str, values: Array, limit: float) -> None:
    # `item` keeps the integers of an int64 exact, which a float would round up or down.
    largest = max(abs(values.max().item()), abs(values.min().item())) if values.size else 0
    if largest > limit:
        raise ContributionError(
            ErrorCode.OUT_OF_RANGE,
            f"tensor {name!r} holds {largest}; the largest magnitude that this round's sum has room for is {limit}",
        )


def _check_between(name: str, values: Array, largest: float) -> None:
    found = (values.min().item(), values.max().item()) if values.size else (0, 0)
    if found[0] < 0 or found[1] > largest:
        outside = found[0] if found[0] < 0 else found[1]
        raise ContributionError(
            ErrorCode.OUT_OF_RANGE, f"tensor {name!r} holds {outside}; this sum takes integers from 0 to {largest}"
        )
