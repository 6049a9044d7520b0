"""Whatever the kind, an aggregate does not depend on the order or the grouping of the updates."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from plans.accumulators.contributions import check_contribution
from plans.accumulators.work import WorkAccumulator
from plans.errors import ContributionError, ProgramError
from plans.manifest import WIDE_BITS, WIDE_FRACTION_BITS, Aggregation, Kind, Port, Work
from tests.plans.linear import TRAIN
from wire.errors import ErrorCode
from wire.tensors import Array, TensorSpec

COHORT = 6


@dataclass(frozen=True)
class Case:
    """A native kind, the values it takes, and what it comes to by the slow and obvious way."""

    entry: Aggregation
    dtype: str
    values: SearchStrategy[Any]
    expected: Callable[[Sequence[Array]], Array]

    @property
    def work(self) -> Work:
        port = Port(TensorSpec(self.dtype, (2,)))
        return replace(TRAIN, update={"v": port}, aggregation=(self.entry,))


def entry(kind: Kind, **changes: Any) -> Aggregation:
    return replace(Aggregation("all", kind, ("v",)), **changes)


def added(values: Sequence[Array]) -> Array:
    """The sum, of floats that are added without rounding."""
    return np.asarray(sum(value.astype(object) for value in values))


LARGEST = 2.0**128 - 2.0**105  # that is finite: the next one may be a runtime's infinity
FLOATS = st.floats(-LARGEST, LARGEST, width=32)
SMALL = st.integers(-1000, 1000).map(float)
LONGS = st.integers(-(2**60), 2**60)
CASES = {
    "sum": Case(entry(Kind.SUM), "float32", SMALL, added),
    "sum of integers": Case(entry(Kind.SUM, fraction_bits=0), "int32", st.integers(-1000, 1000), added),
    "wide sum": Case(entry(Kind.SUM, bits=WIDE_BITS, fraction_bits=WIDE_FRACTION_BITS), "float32", SMALL, added),
    "wide sum of integers": Case(entry(Kind.SUM, bits=WIDE_BITS, fraction_bits=0), "int64", LONGS, added),
    "wide sum of bytes": Case(entry(Kind.SUM, bits=WIDE_BITS, fraction_bits=0), "uint8", st.integers(0, 40), added),
    "min": Case(entry(Kind.MIN), "float32", FLOATS, lambda values: np.min(values, axis=0)),
    "min of integers": Case(entry(Kind.MIN), "int64", LONGS, lambda values: np.min(values, axis=0)),
    "max": Case(entry(Kind.MAX), "float32", FLOATS, lambda values: np.max(values, axis=0)),
    "max of bytes": Case(entry(Kind.MAX), "uint8", st.integers(0, 255), lambda values: np.max(values, axis=0)),
    "modular sum": Case(
        entry(Kind.MODULAR_SUM, modulus=7), "int32", st.integers(0, 6), lambda values: np.sum(values, axis=0) % 7
    ),
    "modular sum of many bits": Case(
        entry(Kind.MODULAR_SUM, modulus=2**63 - 1),
        "int64",
        st.integers(0, 2**63 - 2),
        lambda values: added(values) % (2**63 - 1),
    ),
    "secure sum": Case(entry(Kind.SECURE_SUM, bound=9), "int32", st.integers(0, 9), added),
}


def aggregated(work: Work, groups: Sequence[Sequence[Array]]) -> Array:
    """Each group in an accumulator of its own, merged in their order; every other is put away and taken up again."""
    whole = WorkAccumulator(work, COHORT)
    for number, group in enumerate(groups):
        part = WorkAccumulator(work, COHORT)
        for value in group:
            part.accumulate({"v": value})
        if number % 2:
            whole.merge(part)
        else:
            whole.merge_encoded(part.encode())
    return whole.finalize()["v"]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@given(data=st.data())
def test_neither_the_order_nor_the_grouping_changes_a_bit(case: Case, data: st.DataObject) -> None:
    pairs = st.lists(case.values, min_size=2, max_size=2).map(lambda pair: np.array(pair, case.dtype))
    values = data.draw(st.lists(pairs, min_size=1, max_size=COHORT))
    shuffled = data.draw(st.permutations(values))
    cut = data.draw(st.integers(0, len(values)))
    found = aggregated(case.work, [values])
    assert found.dtype == case.dtype
    assert found.tolist() == case.expected(values).tolist()
    assert aggregated(case.work, [shuffled[:cut], shuffled[cut:]]).tobytes() == found.tobytes()
    assert aggregated(case.work, [[value] for value in shuffled]).tobytes() == found.tobytes()


def of_nobody(case: Case) -> Any:
    limits: Any = np.finfo("float32") if case.dtype == "float32" else np.iinfo(case.dtype)
    return {Kind.MIN: limits.max, Kind.MAX: limits.min}.get(case.entry.kind, 0)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_of_nobody_sums_are_zero_and_extremes_change_no_other(case: Case) -> None:
    found = WorkAccumulator(case.work, COHORT).finalize()["v"]
    assert found.tolist() == [of_nobody(case)] * 2
    assert found.dtype == case.dtype


REFUSED: dict[str, tuple[Aggregation, str, Any, str]] = {
    "a modular sum of its modulus": (entry(Kind.MODULAR_SUM, modulus=7), "int32", 7, "holds 7; .* from 0 to 6"),
    "a modular sum below zero": (entry(Kind.MODULAR_SUM, modulus=7), "int32", -1, "holds -1; .* from 0 to 6"),
    "a secure sum below zero": (entry(Kind.SECURE_SUM, bound=9), "int32", -1, "holds -1; .* from 0 to 9"),
    "a secure sum beyond its bound": (entry(Kind.SECURE_SUM, bound=9), "int64", 10, "holds 10; .* from 0 to 9"),
    "a secure sum beyond its room": (entry(Kind.SECURE_SUM, bound=2**63), "int64", 2**61, "takes integers from 0 to 1"),
    "a secure sum that claims to be wide": (
        entry(Kind.SECURE_SUM, bound=2**63, bits=WIDE_BITS, fraction_bits=0),
        "int64",
        2**61,
        "takes integers from 0 to 1",
    ),
    "a minimum beyond its bound": (entry(Kind.MIN, bound=2.0), "float32", 2.5, "holds 2.5"),
    "a wide sum beyond its bound": (
        entry(Kind.SUM, bits=WIDE_BITS, fraction_bits=WIDE_FRACTION_BITS, bound=2.0),
        "float32",
        -2.5,
        "holds 2.5",
    ),
}


@pytest.mark.parametrize(("one", "dtype", "value", "message"), REFUSED.values(), ids=REFUSED)
def test_a_value_outside_the_bounds_of_its_kind_is_refused(
    one: Aggregation, dtype: str, value: Any, message: str
) -> None:
    work = Case(one, dtype, st.nothing(), added).work
    with pytest.raises(ContributionError, match=message) as refused:
        check_contribution(work, {"v": np.array([0, value], dtype)}, COHORT)
    assert refused.value.code is ErrorCode.OUT_OF_RANGE


@pytest.mark.parametrize("kind", [Kind.MIN, Kind.MAX, Kind.CUSTOM])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused_by_every_kind(kind: Kind, value: float) -> None:
    work = Case(entry(kind), "float32", st.nothing(), added).work
    with pytest.raises(ContributionError) as refused:
        check_contribution(work, {"v": np.array([0, value], np.float32)}, COHORT)
    assert refused.value.code is ErrorCode.NOT_FINITE


@pytest.mark.parametrize("kind", [Kind.MIN, Kind.MAX])
def test_who_has_nothing_to_compare_may_give_what_changes_no_other(kind: Kind) -> None:
    case = Case(entry(kind), "float32", st.nothing(), added)
    check_contribution(case.work, {"v": np.array([0, of_nobody(case)], np.float32)}, COHORT)
    with pytest.raises(ContributionError, match="holds NaN or infinity"):
        check_contribution(case.work, {"v": np.array([0, -of_nobody(case)], np.float32)}, COHORT)


def test_a_custom_aggregation_needs_the_plans_program() -> None:
    with pytest.raises(ProgramError, match="the custom aggregation 'all' needs the plan's server program"):
        WorkAccumulator(Case(entry(Kind.CUSTOM), "float32", st.nothing(), added).work, COHORT)
