"""A late update moves the model less, by the formula of FedBuff, and sums stay exact in any order."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plans import server
from plans.accumulators.contributions import check_contribution
from plans.accumulators.staleness import check_weighable, staleness_weight, weighed
from plans.accumulators.work import WorkAccumulator
from plans.errors import UnsupportedPlanError
from plans.manifest import Kind, Port, Role, Step, Work
from plans.program import Program
from tests.plans.linear import PLAN, STATE, TRAIN
from tests.plans.test_accumulators import UPDATES, Update, contribution, total
from wire.tensors import TensorSpec

STALENESSES = st.integers(0, 10_000)
EXPONENTS = st.floats(0, 10)


@given(STALENESSES, EXPONENTS)
def test_a_fresh_update_counts_in_full_and_a_staler_one_never_more(staleness: int, exponent: float) -> None:
    weights = [staleness_weight(one, exponent) for one in (0, staleness, staleness + 1)]
    assert weights[0] == 1
    assert weights == sorted(weights, reverse=True)
    assert weights[2] >= 0


def test_the_weight_is_that_of_the_paper() -> None:
    assert [staleness_weight(one, 0.5) for one in (0, 1, 3)] == [1, pytest.approx(2**-0.5), 0.5]
    assert staleness_weight(7, 0.0) == 1


def test_a_buffer_moves_the_model_by_the_sum_of_its_weighed_deltas_over_its_examples() -> None:
    """Δ̄ = Σ s(τ) n Δ / Σ n: the weight n itself is never made smaller."""
    buffer = [(contribution((8, 0), 4, 4), 0), (contribution((0, -6), 2, 1), 3), (contribution((2, 2), 1, 3), 8)]
    running = WorkAccumulator(TRAIN, 3)
    for update, staleness in buffer:
        running.accumulate(weighed(TRAIN, update, staleness_weight(staleness, 0.5)))
    state = server.update(Program(PLAN.server), PLAN.manifest, TRAIN, STATE, running.finalize()).state
    shares = np.array([1, 1 / 2, 1 / 3])
    w = shares @ np.array([update["w"] for update, _ in buffer]) / 8
    b = shares @ np.array([update["b"] for update, _ in buffer]) / 8
    np.testing.assert_allclose(state["w"], STATE["w"] + 0.5 * w, rtol=1e-6)
    np.testing.assert_allclose(state["b"], STATE["b"] + 0.5 * b, rtol=1e-6)


@given(st.lists(st.tuples(UPDATES, STALENESSES), max_size=8), EXPONENTS, st.randoms(use_true_random=False))
def test_weighed_sums_are_the_same_in_any_order_and_still_have_room(
    buffer: list[tuple[Update, int]], exponent: float, randomness: Any
) -> None:
    counted = [dict(weighed(TRAIN, update, staleness_weight(staleness, exponent))) for update, staleness in buffer]
    shuffled = list(counted)
    randomness.shuffle(shuffled)
    assert total(shuffled) == total(counted)
    for update, (before, _) in zip(counted, buffer, strict=True):
        check_contribution(TRAIN, update, 8)
        assert all(abs(update[name]).max() <= abs(before[name]).max() for name in ("w", "b"))
        assert update["weight"] == before["weight"]
        assert {array.dtype for array in update.values()} == {np.dtype(np.float32)}


def test_means_of_floats_are_weighed() -> None:
    check_weighable(TRAIN)


def with_entry(**changes: Any) -> Callable[[], Work]:
    return lambda: replace(TRAIN, aggregation=(replace(TRAIN.aggregation[0], **changes),))


UNWEIGHABLE: dict[str, tuple[Callable[[], Work], str]] = {
    "an evaluation": (lambda: PLAN.manifest.work("evaluate"), "works that train, found one for evaluate"),
    "an analysis": (lambda: replace(TRAIN, role=Role.ANALYTICS), "works that train, found one for analytics"),
    "a sum": (with_entry(kind=Kind.SUM, weight=None), "'model' is a sum"),
    "a secure sum": (with_entry(kind=Kind.SECURE_SUM, weight=None), "'model' is a secure_sum"),
    "a robust mean": (with_entry(kind=Kind.MEDIAN), "'model' is a median"),
    "its own signatures": (with_entry(kind=Kind.CUSTOM), "'model' is a custom"),
    "noise": (with_entry(steps=(Step("noise", {"stddev": 1.0}),)), "'model' is a mean with noise"),
    "integers": (
        lambda: replace(TRAIN, update=TRAIN.update | {"w": Port(TensorSpec("int32", (2,)))}),
        "'model' is a mean of integers",
    ),
}


@pytest.mark.parametrize(("make", "words"), UNWEIGHABLE.values(), ids=UNWEIGHABLE)
def test_a_work_whose_late_updates_mean_nothing_is_refused(make: Callable[[], Work], words: str) -> None:
    with pytest.raises(UnsupportedPlanError, match=words):
        check_weighable(make())
