"""A noised sum: the plain one on a grid, plus noise of the size that the plan or the server says, drawn once."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plans.accumulators.contributions import largest_value
from plans.accumulators.noised import cut_off
from plans.accumulators.work import WorkAccumulator
from plans.errors import NoiseError
from plans.manifest import Aggregation, Kind, Port, Step, Work
from tests.plans.linear import TRAIN
from wire.tensors import Array, TensorSpec

ELEMENTS = 50_000
SIX_SIGMA = 6
GRID = 2.0**-32


def noised(stddev: float | str, elements: int = ELEMENTS, **changes: Any) -> Work:
    """A work whose update is a vector, summed with noise."""
    entry = Aggregation("v", Kind.SUM, ("v",), steps=(Step("noise", {"stddev": stddev}),))
    port = Port(TensorSpec("float32", (elements,)))
    return replace(TRAIN, update={"v": port}, aggregation=(replace(entry, **changes),))


def total(work: Work, values: list[Array], **options: Any) -> Array:
    running = WorkAccumulator(work, max(len(values), 1), **options)
    for value in values:
        running.accumulate({"v": np.asarray(value, np.float32)})
    return running.finalize()["v"]


def drawn(stddev: float | str, **options: Any) -> Array:
    """The noise alone: a sum of nobody."""
    return total(noised(stddev), [], entropy=np.random.default_rng(5).bytes, **options)


def is_of_size(noise: Array, stddev: float) -> bool:
    """Whether its variance is σ², to six standard errors: once in 5 · 10⁸ times it would not be."""
    return abs(float(noise.var()) / stddev**2 - 1) < SIX_SIGMA * math.sqrt(2 / noise.size)


@pytest.mark.parametrize("stddev", [1e-3, 2.5, 4000.0])
def test_the_noise_has_the_size_that_the_plan_says(stddev: float) -> None:
    noise = drawn(stddev)
    assert is_of_size(noise, stddev)
    assert abs(noise.mean()) < SIX_SIGMA * stddev / math.sqrt(ELEMENTS)


def test_a_size_that_the_server_says_is_of_this_round() -> None:
    assert is_of_size(drawn("sigma", known={"sigma": np.array(0.25, np.float32)}), 0.25)
    assert is_of_size(drawn("sigma", known={"sigma": np.array(8.0, np.float32)}), 8.0)


@given(st.lists(st.lists(st.floats(-1e3, 1e3, width=32), min_size=2, max_size=2), max_size=6))
def test_without_noise_it_is_the_sum_cut_off_on_the_grid(values: list[list[float]]) -> None:
    found = total(noised(0.0, 2), [np.array(value) for value in values])
    exact = np.array(values, np.float64).reshape(-1, 2).sum(0)
    assert (np.abs(found - exact) <= len(values) * GRID + np.abs(exact) * 2.0**-24).all()


@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=8), st.integers(0, 40))
def test_on_the_grid_no_value_is_longer_than_it_was(values: list[float], fraction_bits: int) -> None:
    value = np.array(values, np.float32)
    integers = cut_off(value, fraction_bits)
    assert (np.abs(integers) * 2.0**-fraction_bits <= np.abs(value)).all()


def test_one_client_more_changes_the_sum_by_what_it_sent_and_nothing_else() -> None:
    sent = np.random.default_rng(3).normal(size=(5, 100))
    sums = [total(noised(0.0, 100), list(sent[:count])) for count in (4, 5)]
    np.testing.assert_allclose(sums[1] - sums[0], sent[4], atol=1e-6)
    with_noise = [
        total(noised(1.0, 100), list(sent[:count]), entropy=np.random.default_rng(1).bytes) for count in (4, 5)
    ]
    np.testing.assert_allclose(with_noise[1] - with_noise[0], sent[4], atol=1e-6)


def test_it_is_noised_once_however_often_it_is_read_and_not_before_it_is_whole() -> None:
    parts = [WorkAccumulator(noised(3.0), 2) for _ in range(2)]
    for part in parts:
        part.accumulate({"v": np.ones(ELEMENTS, np.float32)})
    whole, other = parts
    whole.merge(other)
    first, again = (whole.finalize()["v"] for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert is_of_size(first, 3.0)  # not 3 √2, as if both parts had been noised
    assert abs(first.mean() - 2) < SIX_SIGMA * 3 / math.sqrt(ELEMENTS)


def test_two_sums_never_share_their_noise() -> None:
    one, other = (total(noised(1.0, 100), []) for _ in range(2))
    assert not np.array_equal(one, other)
    work = noised(1.0, 100)
    twice = replace(
        work,
        update=dict.fromkeys(("v", "w"), work.update["v"]),
        aggregation=tuple(replace(work.aggregation[0], name=name, values=(name,)) for name in ("v", "w")),
    )
    both = WorkAccumulator(twice, 1).finalize()
    assert not np.array_equal(both["v"], both["w"])


def test_the_noise_has_half_of_the_room() -> None:
    work = noised(1.0, 1)
    assert largest_value(work.aggregation[0], 8) * 2 == pytest.approx(
        largest_value(replace(work.aggregation[0], steps=()), 8)
    )
    far = np.nextafter(np.float32(2.0**30), np.float32(0))
    assert total(work, [np.array([far])]) == pytest.approx([far])


def test_a_mean_of_a_fixed_denominator_is_a_sum_for_update_state_to_divide() -> None:
    work = noised(0.0, 2, kind=Kind.MEAN, denominator="fixed")
    np.testing.assert_array_equal(total(work, [np.array([1, 2]), np.array([3, 5])]), [4, 7])


@pytest.mark.parametrize("stddev", [-0.5, math.nan, math.inf, 1e7])
def test_a_size_that_is_none_is_an_error_before_anything_is_summed(stddev: float) -> None:
    with pytest.raises(NoiseError, match=r"is from 0 to 1\.04858e\+06, found"):
        WorkAccumulator(noised("sigma", 2), 1, known={"sigma": np.array(stddev, np.float32)})


def correlated(elements: int) -> Work:
    step = Step("noise", {"stddev": 1.0, "earlier": "before", "drawn": "drawn"})
    return noised(1.0, elements, steps=(step,))


def test_correlated_noise_is_told_and_taken_away_again_to_the_last_bit() -> None:
    values = np.random.default_rng(4).normal(size=ELEMENTS).astype(np.float32)
    first = WorkAccumulator(correlated(ELEMENTS), 1, known={"before": np.zeros(ELEMENTS, np.int64)})
    first.accumulate({"v": values})
    noise = first.finalize()["drawn"]
    assert noise.dtype == np.int64
    assert is_of_size(noise * GRID, 1.0)
    np.testing.assert_allclose(first.finalize()["v"] - noise * GRID, values, atol=1e-6)
    # A sum without noise of its own, from which an earlier one is taken away: nothing but integers are added.
    without = replace(correlated(ELEMENTS).aggregation[0].steps[0], kind="noise")
    silent = replace(without, parameters={**without.parameters, "stddev": 0.0})
    second = WorkAccumulator(noised(0.0, ELEMENTS, steps=(silent,)), 1, known={"before": -noise})
    second.accumulate({"v": values})
    found = second.finalize()
    np.testing.assert_array_equal(found["v"], first.finalize()["v"])
    assert not found["drawn"].any()


def test_noise_that_would_overflow_what_it_is_taken_from_is_an_error() -> None:
    with pytest.raises(NoiseError, match="up to 2\\^61 steps, found -9223372036854775808 to 5"):
        WorkAccumulator(correlated(2), 1, known={"before": np.array([5, -(2**63)])})
