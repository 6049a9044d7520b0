"""A wide sum is exact, and rounded once: it equals the rational sum's nearest float."""

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from plans.accumulators.work import WorkAccumulator
from plans.errors import ContributionError
from plans.manifest import WIDE_BITS, WIDE_FRACTION_BITS, Aggregation, Kind, Port, Work
from tests.plans.linear import TRAIN
from wire.errors import ErrorCode
from wire.tensors import Array, TensorSpec

LARGEST = 2.0**128 - 2.0**105  # that is finite: the next one may be a runtime's infinity
SMALLEST = 2.0**-149
EXTREME = st.sampled_from([0.0, -0.0, SMALLEST, -SMALLEST, 2.0**-126, 1.0, -1.0, 2.0**-24, LARGEST, -LARGEST])
FLOATS = st.floats(-LARGEST, LARGEST, width=32) | EXTREME


def summing(dtype: str, shape: tuple[int, ...] = ()) -> Work:
    bits = WIDE_FRACTION_BITS if np.dtype(dtype).kind == "f" else 0
    entry = Aggregation("v", Kind.SUM, ("v",), bits=WIDE_BITS, fraction_bits=bits)
    return replace(TRAIN, update={"v": Port(TensorSpec(dtype, shape))}, aggregation=(entry,))


def total(values: Sequence[Array], dtype: str = "float32") -> Array:
    running = WorkAccumulator(summing(dtype, np.shape(values[0]) if len(values) else ()), 1_000_000)
    for value in values:
        running.accumulate({"v": np.asarray(value, dtype)})
    return running.finalize()["v"]


def nearest(exact: Fraction, dtype: str) -> float | None:
    """The float nearest to a rational number, the even one of two; None where it is too large."""
    with np.errstate(over="ignore"):
        guess = np.array(float(exact)).astype(dtype)
        around = [np.nextafter(guess, guess.dtype.type(end)) for end in (-np.inf, np.inf)]
    candidates = [float(value) for value in (guess, *around)]
    limit = Fraction(float(np.finfo(dtype).max))
    half_step = (limit - Fraction(float(np.nextafter(np.finfo(dtype).max, np.array(0, dtype))))) / 2
    if abs(exact) >= limit + half_step:
        return None
    finite = [value for value in candidates if math.isfinite(value)]
    return min(finite, key=lambda value: (abs(Fraction(value) - exact), _is_odd(value, dtype)))


def _is_odd(value: float, dtype: str) -> int:
    return int(np.array(value, dtype).view("u4" if dtype == "float32" else "u2")) & 1


@given(st.lists(FLOATS, max_size=30))
@example([1.0, 2.0**-24, 2.0**-80])  # fsum rounds to a float64 first, and the second rounding would go down
@example([-1.0, -(2.0**-24), -(2.0**-80)])
@example([2.0**10, 2.0**-14, 2.0**-45])  # the same, where it fills the two highest limbs
@example([1.0, 2.0**-24])  # halfway, to the even one
@example([LARGEST, LARGEST, -LARGEST])
@example([SMALLEST] * 3)
@example([LARGEST, 2.0**104, 2.0**103, -SMALLEST])  # a hair below the number that would be rounded to infinity
def test_a_sum_is_the_nearest_float_of_the_exact_one(values: list[float]) -> None:
    expected = nearest(sum(map(Fraction, values), Fraction(0)), "float32")
    arrays = [np.array(value, np.float32) for value in values]
    if expected is None:
        with pytest.raises(ContributionError, match="the sum of tensor 'v' does not fit float32"):
            total(arrays)
        return
    assert total(arrays).item() == expected


@given(st.lists(st.integers(-(2**23), 2**23).map(lambda steps: steps * 2.0**-10), max_size=50))
def test_a_sum_is_that_of_fsum_where_a_float64_holds_it(values: list[float]) -> None:
    assert total([np.array(value, np.float32) for value in values]) == np.float32(math.fsum(values))


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=16), max_size=30))
def test_halves_are_rounded_once_as_well(values: list[float]) -> None:
    expected = nearest(sum(map(Fraction, values), Fraction(0)), "float16")
    if expected is not None:
        assert total([np.array(value, np.float16) for value in values], "float16").item() == expected


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=30))
def test_integers_are_exact_or_refused(values: list[int]) -> None:
    arrays = [np.array(value, np.int64) for value in values]
    if -(2**63) <= sum(values) < 2**63:
        assert total(arrays, "int64").item() == sum(values)
        return
    with pytest.raises(ContributionError, match="does not fit int64") as refused:
        total(arrays, "int64")
    assert refused.value.code is ErrorCode.OUT_OF_RANGE


@pytest.mark.parametrize(("dtype", "value"), [("int32", 2**30), ("uint8", 200), ("int8", -100), ("float32", LARGEST)])
def test_a_total_that_does_not_fit_is_refused(dtype: str, value: float) -> None:
    with pytest.raises(ContributionError, match=f"does not fit {dtype}"):
        total([np.array(value, dtype)] * 2, dtype)


def test_many_elements_are_summed_beside_each_other() -> None:
    random = np.random.Generator(np.random.PCG64(5))
    values = (random.normal(size=(20, 3, 7)) * 10.0 ** random.integers(-30, 30, (20, 3, 7))).astype(np.float32)
    expected = [np.float32(math.fsum(column)) for column in values.reshape(20, -1).T.tolist()]
    np.testing.assert_array_equal(total(list(values)), np.array(expected).reshape(3, 7))
    np.testing.assert_array_equal(total(list(values[::-1])), np.array(expected).reshape(3, 7))


def test_more_elements_than_a_cache_holds_are_summed() -> None:
    random = np.random.Generator(np.random.PCG64(6))
    values = [random.integers(-(2**20), 2**20, 20_000).astype(np.float32) for _ in range(3)]
    np.testing.assert_array_equal(total(values), np.sum(values, axis=0, dtype=np.float64).astype(np.float32))


def test_a_tensor_of_no_elements_is_summed() -> None:
    assert total([np.zeros((0, 3), np.float32)]).shape == (0, 3)


def test_a_sum_has_room_for_a_million_of_the_largest() -> None:
    """By doubling: the sum of 2^20 of the largest float, and then of as many of its negative."""
    work = summing("float32")
    running = _doubled(work, LARGEST)
    with pytest.raises(ContributionError, match="does not fit float32"):
        running.finalize()
    running.merge(_doubled(work, -LARGEST))
    running.accumulate({"v": np.array(SMALLEST, np.float32)})
    assert running.finalize()["v"].item() == SMALLEST


def _doubled(work: Work, value: float) -> WorkAccumulator:
    running = WorkAccumulator(work, 1 << 22)
    running.accumulate({"v": np.array(value, np.float32)})
    for _ in range(20):
        running.merge(running)
    return running
