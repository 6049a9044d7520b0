"""Random integers have the distribution that their formula says, and come from the entropy alone."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plans import discrete_gaussian as sampler
from plans.discrete_gaussian import Entropy, discrete_gaussian

COUNT = 200_000
SIX_SIGMA = 6  # a sound sampler is beyond it once in 5 · 10⁸ times


def entropy(seed: int = 7) -> Entropy:
    return np.random.default_rng(seed).bytes


@pytest.mark.parametrize("stddev", [0.05, 0.4, 1.0, 1.7, 12.5])
def test_every_integer_is_as_frequent_as_its_formula_says(stddev: float) -> None:
    reach = math.ceil(12 * stddev) + 2
    integers = np.arange(-reach, reach + 1)
    weights = np.exp(-(integers**2) / (2 * stddev**2))
    expected = COUNT * weights / weights.sum()
    found = np.bincount(discrete_gaussian(stddev, COUNT, entropy()) + reach, minlength=2 * reach + 1)
    margin = SIX_SIGMA * np.sqrt(expected) + 20
    assert (np.abs(found - expected) < margin).all()


@pytest.mark.parametrize("stddev", [300.0, 2.0**32, 3.1e12, sampler.LARGEST_STDDEV])
def test_large_ones_are_gaussian(stddev: float) -> None:
    scaled = np.sort(discrete_gaussian(stddev, COUNT, entropy()) / stddev)
    cumulative = np.array([(1 + math.erf(x / math.sqrt(2))) / 2 for x in scaled])
    distance = np.abs(cumulative - (np.arange(COUNT) + 0.5) / COUNT).max()
    assert distance < math.sqrt(math.log(2e9) / (2 * COUNT))  # Dvoretzky, Kiefer, Wolfowitz: once in 10⁹ times
    assert abs(scaled.var() - 1) < SIX_SIGMA * math.sqrt(2 / COUNT)
    assert abs(scaled.mean()) < SIX_SIGMA / math.sqrt(COUNT)


def test_the_digits_that_decide_nothing_are_uniform() -> None:
    last = discrete_gaussian(2.0**40, COUNT, entropy()) & 0xFF
    counts = np.bincount(last, minlength=256)
    assert np.abs(counts - COUNT / 256).max() < SIX_SIGMA * math.sqrt(COUNT / 256)


def test_neighbours_are_independent() -> None:
    drawn = discrete_gaussian(1e6, COUNT, entropy()) / 1e6
    assert abs((drawn[1:] * drawn[:-1]).mean()) < SIX_SIGMA / math.sqrt(COUNT)


@given(
    uniform=st.integers(0, 2**64 - 1),
    v=st.integers(0, 4),
    y=st.integers(0, 2**35),
    stddev=st.floats(2.0**30, 2.0**34),
)
def test_the_fast_comparison_is_the_exact_one(uniform: int, v: int, y: int, stddev: float) -> None:
    fast = sampler.is_below(np.array([uniform], np.uint64), np.array([v]), np.array([y]), stddev, entropy())
    assert fast[0] == sampler.is_below_exactly(uniform, v, y, stddev, entropy())


def test_what_float64_cannot_tell_is_decided_by_more_digits() -> None:
    series = sum((Fraction(-1, 2) ** k / math.factorial(k) for k in range(40)), Fraction(0))
    exact = math.floor(series * 2**64)  # the first 64 digits of p = exp(−1/2)
    stddev = 2.0**20
    numbers = np.array([exact - 1, exact + 1], np.uint64)
    y = np.full(2, 2**20)
    np.testing.assert_array_equal(sampler.is_below(numbers, np.zeros(2), y, stddev, entropy()), [True, False])
    assert sampler.is_below_exactly(exact, 0, 2**20, stddev, bytes)  # zeros
    assert not sampler.is_below_exactly(exact, 0, 2**20, stddev, lambda size: b"\xff" * size)


def test_the_same_entropy_gives_the_same_numbers_and_another_gives_others() -> None:
    first, again, other = (discrete_gaussian(1e9, 100, entropy(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(discrete_gaussian(1e9, 100), discrete_gaussian(1e9, 100))


def test_no_noise_takes_no_entropy() -> None:
    def refused(size: int) -> bytes:
        raise AssertionError(size)

    assert not discrete_gaussian(0.0, 5, refused).any()
    assert discrete_gaussian(3.0, 0, refused).shape == (0,)


@pytest.mark.parametrize("stddev", [-1.0, math.nan, math.inf, 2.0**53])
def test_what_is_no_standard_deviation_is_refused(stddev: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 2\\^52"):
        discrete_gaussian(stddev, 1)
