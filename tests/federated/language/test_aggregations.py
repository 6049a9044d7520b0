"""What sums, means, extremes and secure sums are: exact, order-free, and never silently wrong."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import federated as fed
from federated.language.errors import ExecutionError, MisuseError, ValueMismatchError
from federated.language.summing import exact_sum, weighted_mean
from plans.accumulators.wide import WideSum
from plans.errors import ContributionError
from plans.manifest import Port
from wire.tensors import TensorSpec


def at_clients(member: Any) -> fed.FederatedType:
    return fed.FederatedType(member, fed.CLIENTS)


SUMS = {
    dtype: fed.federated_computation(fed.federated_sum, at_clients(dtype))
    for dtype in (np.int8, np.int32, np.int64, np.uint8, np.uint64, np.float16, np.float32, np.float64)
}
MEAN = fed.federated_computation(fed.federated_mean, at_clients(np.float32))
WEIGHTED = fed.federated_computation(fed.federated_mean, at_clients(np.float32), at_clients(np.float32))
MEAN_OR_NAN = fed.federated_computation(
    lambda x, w: fed.federated_mean(x, w, on_zero_weight="nan"), at_clients(np.float32), at_clients(np.float32)
)
LOWEST = fed.federated_computation(fed.federated_min, at_clients(np.int32))
LARGEST = fed.federated_computation(fed.federated_max, at_clients(np.int32))


@given(st.lists(st.floats(width=64, min_value=-1e300, max_value=1e300), max_size=40))
def test_a_sum_of_float64_is_exact_too(values: list[float]) -> None:
    assert SUMS[np.float64](values) == float(sum(map(Fraction, values), Fraction(0)))


@given(st.lists(st.floats(width=32, min_value=-(2.0**100), max_value=2.0**100), min_size=1), st.randoms())
def test_the_order_of_the_clients_does_not_change_a_sum(values: list[float], random: Any) -> None:
    shuffled = random.sample(values, len(values))
    assert SUMS[np.float32](values) == SUMS[np.float32](shuffled)


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64, np.uint8, np.uint64])
@given(data=st.data())
def test_a_sum_of_integers_is_exact_or_an_error_and_never_wrapped(dtype: Any, data: st.DataObject) -> None:
    limits = np.iinfo(dtype)
    values = data.draw(st.lists(st.integers(int(limits.min), int(limits.max)), max_size=10))
    if limits.min <= sum(values) <= limits.max:
        assert SUMS[dtype](values) == sum(values)
    else:
        with pytest.raises(ExecutionError, match=f"a sum does not fit {np.dtype(dtype)}") as refusal:
            SUMS[dtype](values)
        assert str(sum(values)) in str(refusal.value)


def test_a_sum_of_floats_that_overflows_is_an_error() -> None:
    with pytest.raises(ExecutionError, match="does not fit float32"):
        SUMS[np.float32]([3e38, 3e38])
    with pytest.raises(ExecutionError, match="does not fit float64"):
        SUMS[np.float64]([1.7e308, 1.7e308])


def test_nobody_sums_to_zero() -> None:
    assert SUMS[np.int32]([]) == 0
    assert SUMS[np.float32]([]) == 0.0
    vectors = fed.federated_computation(fed.federated_sum, at_clients((np.float32, [2])))
    np.testing.assert_array_equal(vectors([]), [0.0, 0.0])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_refused_with_its_client(value: float) -> None:
    for computation in (SUMS[np.float32], MEAN):
        with pytest.raises(ExecutionError, match="client 1 contributes"):
            computation([1.0, value])


def test_a_mean_of_nobody_is_an_error_unless_nan_is_asked_for() -> None:
    with pytest.raises(ExecutionError, match="a mean of no clients"):
        MEAN([])
    with pytest.raises(ExecutionError, match="all zero"):
        WEIGHTED([1.0, 2.0], [0.0, 0.0])
    assert math.isnan(MEAN_OR_NAN([], []))
    assert math.isnan(MEAN_OR_NAN([1.0], [0.0]))
    with pytest.raises(MisuseError, match='"error" or "nan"'):
        fed.federated_computation(lambda x: fed.federated_mean(x, on_zero_weight="zero"), at_clients(np.float32))


def test_a_client_of_weight_zero_counts_for_nothing_whatever_its_value() -> None:
    assert WEIGHTED([1.0, math.nan, 3.0, math.inf], [1.0, 0.0, 1.0, 0.0]) == 2.0


def test_a_weight_is_never_negative_nor_infinite() -> None:
    with pytest.raises(ExecutionError, match=r"client 1 has the weight -1.0"):
        WEIGHTED([1.0, 2.0], [1.0, -1.0])
    with pytest.raises(ExecutionError, match="client 0 contributes inf"):
        WEIGHTED([1.0, 2.0], [math.inf, 1.0])


def test_integer_weights_may_sum_to_more_than_their_dtype_holds() -> None:
    mean = fed.federated_computation(fed.federated_mean, at_clients(np.float32), at_clients(np.int32))
    assert mean([1.0, 3.0], [2**31 - 1, 2**31 - 1]) == 2.0


@given(st.lists(st.tuples(st.floats(-1e6, 1e6, width=32), st.integers(0, 1000)), min_size=1))
def test_a_mean_is_what_its_definition_says(pairs: list[tuple[float, int]]) -> None:
    values, weights = (np.array(column, np.float64) for column in zip(*pairs, strict=True))
    if weights.sum() > 0:
        expected = (values * weights).sum() / weights.sum()
        np.testing.assert_allclose(WEIGHTED(list(values), list(weights)), expected, rtol=1e-5, atol=1e-1)


def test_extremes_of_nobody_are_those_of_the_dtype() -> None:
    assert (LOWEST([3, 1, 2]), LARGEST([3, 1, 2])) == (1, 3)
    assert (LOWEST([]), LARGEST([])) == (np.iinfo(np.int32).max, np.iinfo(np.int32).min)
    floats = fed.federated_computation(fed.federated_max, at_clients(np.float32))
    assert floats([]) == np.finfo(np.float32).min


def test_extremes_are_taken_element_by_element() -> None:
    largest = fed.federated_computation(fed.federated_max, at_clients([(np.int32, [2]), np.float32]))
    vector, scalar = largest([([1, 5], 0.5), ([2, 4], -0.5)])
    assert (vector.tolist(), scalar) == ([2, 5], 0.5)


def secure(member: Any, bound: Any, operator: Any = fed.federated_secure_sum) -> Any:
    return fed.federated_computation(lambda x: operator(x, bound), at_clients(member))


def test_a_secure_sum_takes_values_within_zero_and_its_bound() -> None:
    total = secure(np.int32, 10)
    assert str(total.type_signature) == "({int32}@CLIENTS -> int32@SERVER)"
    assert (total([0, 10, 5]), total([])) == (15, 0)
    for value in (-1, 11):
        with pytest.raises(
            ExecutionError, match=f"client 1 contributes {value} to a secure sum of values within 0 and 10"
        ):
            total([3, value])


def test_a_secure_sum_whose_bound_is_negative_takes_nothing() -> None:
    with pytest.raises(ExecutionError, match="-5 is no max_input"):
        secure(np.int32, -5)([])


def test_a_secure_sum_may_have_a_bound_for_each_tensor() -> None:
    total = secure([np.int32, (np.int64, [2])], (5, 100))
    scalar, vector = total([(5, [100, 0]), (1, [50, 3])])
    assert (scalar, vector.tolist()) == (6, [150, 3])
    with pytest.raises(ExecutionError, match="within 0 and 5"):
        total([(6, [0, 0])])
    with pytest.raises(MisuseError, match="has 3 integers"):
        secure([np.int32, np.int32], (1, 2, 3))


def test_bits_bound_a_secure_sum_too() -> None:
    total = secure(np.int32, 3, fed.federated_secure_sum_bitwidth)
    assert total([7, 7]) == 14
    for value in (-1, 8):
        with pytest.raises(ExecutionError, match="within 0 and 7"):
            total([value])
    with pytest.raises(ExecutionError, match="0 is no bitwidth"):
        secure(np.int32, 0, fed.federated_secure_sum_bitwidth)([1])


def test_a_modular_sum_wraps_at_its_modulus_and_takes_only_values_below() -> None:
    total = secure(np.int32, 8, fed.federated_secure_modular_sum)
    assert total([7, 7, 7]) == 5
    for value in (-1, 8):
        with pytest.raises(ExecutionError, match="within 0 and 7"):
            total([value])
    with pytest.raises(ExecutionError, match="0 is no modulus"):
        secure(np.int32, 0, fed.federated_secure_modular_sum)([1])


@pytest.mark.parametrize("bound", [1.5, "ten", [1.0, 2.0]])
def test_bounds_are_integers(bound: Any) -> None:
    with pytest.raises(MisuseError, match="max_input must be an integer"):
        secure([np.int32, np.int32], bound)


def test_only_integers_are_summed_securely() -> None:
    with pytest.raises(MisuseError, match="federated_secure_sum takes integers, found float32"):
        secure(np.float32, 1)


def test_an_integer_that_does_not_fit_is_refused_before_it_is_summed() -> None:
    with pytest.raises(ValueMismatchError, match=r"\$.value\[1\].*int32 holds"):
        SUMS[np.int32]([1, 2**31])


@given(st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=1, max_size=9))
def test_a_column_of_ten_thousand_sums_like_its_parts(values: list[float]) -> None:
    column = np.tile(np.array(values, np.float32), 1111)
    assert exact_sum(column) == np.float32(float(sum(map(Fraction, values)) * 1111))


def test_the_mean_of_equal_values_is_that_value() -> None:
    column = np.full(9999, 0.1, np.float32)
    assert weighted_mean(column, np.ones(9999, np.float32)) == np.float32(0.1)


WILD = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(st.lists(st.lists(WILD, min_size=3, max_size=3), max_size=9))
def test_local_sums_are_the_ones_that_plans_compute(rows: list[list[float]]) -> None:
    """The exact accumulator of `plans` is another algorithm for the same thing."""
    column = np.array(rows, np.float32).reshape(len(rows), 3)
    wide = WideSum({"x": Port(spec=TensorSpec("float32", (3,)))})
    for row in column:
        wide.accumulate({"x": row})
    try:
        expected = wide.finalize()["x"]
    except ContributionError:
        with pytest.raises(ExecutionError, match="does not fit float32"):
            exact_sum(column)
    else:
        np.testing.assert_array_equal(exact_sum(column), expected)


def test_halves_are_rounded_once_and_not_by_way_of_float64() -> None:
    """1 + 2^-24 + 2^-60 is above the middle between two float32; float64 first would make it the middle."""
    assert exact_sum(np.array([1, 2.0**-24, 2.0**-60], np.float32)) == np.nextafter(np.float32(1), np.float32(2))


def test_what_cancels_leaves_the_rest_exactly() -> None:
    column = np.array([2.0**120, 1.0, 2.0**60, -(2.0**120), 2.0**-100, -(2.0**60)], np.float32)
    assert exact_sum(column) == np.float32(1)
    assert exact_sum(np.array([2.0**120, 2.0**-100, -(2.0**120)], np.float32)) == np.float32(2.0**-100)
