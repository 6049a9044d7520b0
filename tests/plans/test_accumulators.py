"""A sum is exact: the same bits in any order, and never more than 64 bits hold."""

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plans.accumulators.contributions import check_contribution, largest_value
from plans.accumulators.work import WorkAccumulator
from plans.errors import ContributionError, ZeroWeightError
from plans.manifest import Aggregation, Kind, Port, Work
from tests.plans.linear import TRAIN as MEAN
from wire.errors import ErrorCode
from wire.tensors import Array, TensorSpec

Update = dict[str, Array]
# The golden training, as a work that may add up to a weight of zero.
TRAIN = replace(MEAN, aggregation=(replace(MEAN.aggregation[0], on_zero_weight="nan"),))
FLOATS = st.floats(-1e4, 1e4, width=32)
LARGEST = float(np.finfo(np.float32).max)


def contribution(w: Sequence[float] = (1, 2), b: float = 3, weight: float = 4) -> Update:
    return {"w": np.array(w, np.float32), "b": np.array(b, np.float32), "weight": np.array(weight, np.float32)}


UPDATES = st.builds(contribution, st.lists(FLOATS, min_size=2, max_size=2), FLOATS, st.floats(0, 1e4, width=32))


def summing(dtype: str, **changes: Any) -> Work:
    """A work that sums one scalar, `v`."""
    port = Port(TensorSpec(dtype, ()))
    return replace(TRAIN, update={"v": port}, aggregation=(replace(Aggregation("v", Kind.SUM, ("v",)), **changes),))


def total(updates: Sequence[Update], work: Work = TRAIN, cohort: int = 8) -> dict[str, bytes]:
    running = WorkAccumulator(work, cohort)
    for update in updates:
        running.accumulate(update)
    return {name: value.tobytes() for name, value in running.finalize().items()}


@given(st.lists(UPDATES, max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_the_updates_changes_no_bit(updates: list[Update], randomness: Any) -> None:
    shuffled = list(updates)
    randomness.shuffle(shuffled)
    assert total(shuffled) == total(updates)


@given(st.lists(UPDATES, max_size=8), st.lists(st.integers(0, 2), min_size=8, max_size=8))
def test_partial_sums_merge_to_the_same_bits(updates: list[Update], workers: list[int]) -> None:
    partial = [WorkAccumulator(TRAIN, 8) for _ in range(3)]
    for update, worker in zip(updates, workers, strict=False):
        partial[worker].accumulate(update)
    merged = WorkAccumulator(TRAIN, 8)
    for part in reversed(partial):
        merged.merge(part)
    assert merged.count == len(updates)
    assert {name: value.tobytes() for name, value in merged.finalize().items()} == total(updates)


@given(st.lists(UPDATES, min_size=1, max_size=8))
def test_a_sum_is_the_slow_and_obvious_one(updates: list[Update]) -> None:
    running = WorkAccumulator(TRAIN, 8)
    for update in updates:
        running.accumulate(update)
    for name, found in running.finalize().items():
        exact = np.sum([update[name].astype(np.float64) for update in updates], axis=0)
        np.testing.assert_allclose(found, exact, rtol=1e-6, atol=len(updates) * 2.0**-32)
        assert found.dtype == np.float32
        assert found.shape == TRAIN.update[name].spec.shape


def test_a_sum_of_nothing_is_zero() -> None:
    assert total([]) == total([contribution((0, 0), 0, 0)])


@pytest.mark.parametrize("updates", [[], [contribution(weight=0)], [contribution(weight=1e-12)]])
def test_a_mean_of_what_weighs_nothing_is_refused_where_the_plan_calls_it_an_error(updates: list[Update]) -> None:
    with pytest.raises(ZeroWeightError, match=r"the mean 'model' is over [01] updates whose weights \(weight\) add up"):
        total(updates, MEAN)


ENTRIES = st.builds(
    lambda bits, fraction: Aggregation("v", Kind.SUM, ("v",), bits=bits, fraction_bits=min(fraction, bits - 2)),
    st.sampled_from([32, 64]),
    st.integers(0, 62),
)


@given(ENTRIES, st.integers(1, 1 << 30))
def test_a_cohort_of_the_largest_values_fits_exactly(entry: Aggregation, cohort: int) -> None:
    scaled = Fraction(largest_value(entry, cohort)) * (1 << entry.fraction_bits)
    assert cohort * round(scaled) < 1 << (entry.bits - 1)


@given(
    st.sampled_from(["float32", "float64", "int32", "int64", "uint64"]),
    st.integers(1, 9),
    st.integers(0, 62),
    st.integers(-2, 2),
)
def test_a_sum_at_its_limit_never_wraps(dtype: str, cohort: int, fraction_bits: int, steps: int) -> None:
    """Values around the limit, as close as their dtype comes. The sum is read as a float64, which holds all of it."""
    work = summing(dtype, fraction_bits=fraction_bits)
    limit = largest_value(work.aggregation[0], cohort)
    value = around(limit, dtype, steps)
    running = WorkAccumulator(work, cohort)
    if abs(value.item()) > limit:
        with pytest.raises(ContributionError, match="the largest magnitude"):
            running.accumulate({"v": value})
        return
    for _ in range(cohort):
        running.accumulate({"v": value})
    wide = replace(work, update={"v": Port(TensorSpec("float64", ()))})
    found = WorkAccumulator(wide, cohort)
    found.merge(running)
    expected = pytest.approx(cohort * value.item(), rel=1e-6, abs=cohort * 2.0**-fraction_bits)
    assert found.finalize()["v"].item() == expected


def around(limit: float, dtype: str, steps: int) -> Array:
    if np.dtype(dtype).kind == "f":
        value = np.array(limit, dtype)
        for _ in range(abs(steps)):
            value = np.nextafter(value, np.array(math.copysign(np.inf, steps), dtype))
        return np.asarray(value)
    limits = np.iinfo(dtype)
    return np.array(max(int(limits.min), min(int(limit) + steps, int(limits.max))), dtype)


@pytest.mark.parametrize("cohort", [1, 2, 4, 1024])
def test_a_power_of_two_that_would_wrap_is_refused(cohort: int) -> None:
    """2^31 in one report, or 2^30 in each of two, is one step more than the sum holds."""
    with pytest.raises(ContributionError, match="the largest magnitude"):
        total([{"v": np.array(2**31 / cohort, np.float32)}], summing("float32"), cohort)


NAN, INF = math.nan, math.inf
REFUSED = {
    "NaN": (contribution((NAN, 0)), ErrorCode.NOT_FINITE, "tensor 'w' holds NaN or infinity"),
    "infinity": (contribution(b=INF), ErrorCode.NOT_FINITE, "tensor 'b' holds NaN or infinity"),
    "minus infinity": (contribution((0, -INF)), ErrorCode.NOT_FINITE, "tensor 'w'"),
    "what a runtime makes of infinity": (contribution((0, LARGEST)), ErrorCode.NOT_FINITE, "tensor 'w'"),
    "what it makes of minus infinity": (contribution(b=-LARGEST), ErrorCode.NOT_FINITE, "tensor 'b'"),
    "a weight of NaN": (contribution(weight=NAN), ErrorCode.NOT_FINITE, "tensor 'weight'"),
    "NaN at weight zero": (contribution(b=NAN, weight=0), ErrorCode.NOT_FINITE, "tensor 'b'"),
    "too large": (contribution((0, 1e9)), ErrorCode.OUT_OF_RANGE, "tensor 'w' holds 1000000000.0; the largest"),
    "too small": (contribution(b=-1e9), ErrorCode.OUT_OF_RANGE, "tensor 'b' holds 1000000000.0"),
    "too heavy": (contribution(weight=1e9), ErrorCode.OUT_OF_RANGE, "tensor 'weight' holds"),
    "a negative weight": (contribution(weight=-1), ErrorCode.OUT_OF_RANGE, "the weight 'weight' is -1.0"),
}


@pytest.mark.parametrize(("update", "code", "message"), REFUSED.values(), ids=REFUSED)
def test_what_a_sum_must_not_take_is_refused_and_changes_nothing(update: Update, code: ErrorCode, message: str) -> None:
    running = WorkAccumulator(TRAIN, 8)
    running.accumulate(contribution())
    with pytest.raises(ContributionError, match=message) as refused:
        running.accumulate(update)
    assert refused.value.code is code
    assert running.count == 1
    assert {name: value.tobytes() for name, value in running.finalize().items()} == total([contribution()])


def test_a_bound_that_the_plan_declares_is_kept() -> None:
    work = summing("float32", bound=2.5)
    check_contribution(work, {"v": np.array(-2.5, np.float32)}, 8)
    with pytest.raises(ContributionError, match=r"holds 2.75; the largest magnitude .* is 2.5"):
        check_contribution(work, {"v": np.array(2.75, np.float32)}, 8)


def test_more_updates_than_the_cohort_are_refused() -> None:
    with pytest.raises(OverflowError, match="3 updates in a sum that was made for 2"):
        total([contribution()] * 3, cohort=2)


def test_merged_sums_hold_no_more_than_the_cohort() -> None:
    one, other = WorkAccumulator(TRAIN, 2), WorkAccumulator(TRAIN, 2)
    for running in (one, one, other):
        running.accumulate(contribution())
    with pytest.raises(OverflowError):
        one.merge(other)
    assert one.count == 2


@pytest.mark.parametrize(("dtype", "value"), [("float16", 60_000.0), ("int8", 100), ("uint8", 200)])
def test_a_sum_that_does_not_fit_its_dtype_is_refused(dtype: str, value: float) -> None:
    with pytest.raises(ContributionError, match=f"the sum of tensor 'v' does not fit {dtype}") as refused:
        total([{"v": np.array(value, dtype)}] * 2, summing(dtype))
    assert refused.value.code is ErrorCode.OUT_OF_RANGE


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint32", "int64", "float16", "float64"])
def test_every_number_is_summed_in_its_own_dtype(dtype: str) -> None:
    values = [np.array(value, dtype) for value in (1, 2, 3)]
    assert total([{"v": value} for value in values], summing(dtype)) == {"v": np.array(6, dtype).tobytes()}


def test_a_tensor_of_no_elements_is_summed() -> None:
    work = summing("float32")
    empty = replace(work, update={"v": Port(TensorSpec("float32", (0,)))})
    assert total([{"v": np.zeros(0, np.float32)}], empty) == {"v": b""}
