"""Clipping and zeroing, by fixed norms and by norms that follow the clients."""

import math

import numpy as np
import pytest

from federated.aggregators import (
    MeanFactory,
    PrivateQuantileEstimationProcess,
    SumFactory,
    clipping_factory,
    zeroing_factory,
)
from federated.language.errors import MisuseError
from federated.language.types import to_type
from tests.federated.aggregators.rounds import rounds_of, vector

pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(300)]

no_noise = PrivateQuantileEstimationProcess.no_noise


def test_a_value_beyond_the_norm_is_scaled_to_it_and_others_stay() -> None:
    (output,) = rounds_of(clipping_factory(2.0, SumFactory()), vector(2), [[3.0, 4.0], [1.0, 1.0], [0.0, 0.0]])
    np.testing.assert_allclose(output.result, [3 * 2 / 5 + 1, 4 * 2 / 5 + 1], rtol=1e-6)
    assert output.measurements["clipping_norm"] == 2.0
    assert output.measurements["clipped_count"] == 1


def test_the_norm_is_that_of_all_tensors_together() -> None:
    type_ = to_type({"a": (np.float32, [1]), "b": np.float32})
    (output,) = rounds_of(clipping_factory(1.0, SumFactory()), type_, [{"a": np.array([3], np.float32), "b": 4.0}])
    np.testing.assert_allclose([output.result["a"][0], output.result["b"]], [0.6, 0.8], rtol=1e-6)


def test_an_adaptive_norm_follows_the_quantile_as_the_paper_says() -> None:
    estimate = no_noise(1.0, target_quantile=0.5, learning_rate=0.2)
    norms = [0.5, 2.0, 3.0, 4.0]
    outputs = rounds_of(clipping_factory(estimate, SumFactory()), vector(1), *[[[n] for n in norms]] * 3)
    expected, norm = [], 1.0
    for _ in range(3):
        expected.append((norm, sum(min(n, norm) for n in norms)))
        below = sum(n <= norm for n in norms) / len(norms)
        norm *= math.exp(-0.2 * (below - 0.5))
    for output, (limit, total) in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(output.measurements["clipping_norm"], limit, rtol=1e-6)
        np.testing.assert_allclose(output.result, [total], rtol=1e-6)
    np.testing.assert_allclose(outputs[-1].state["clipping_norm"]["estimate"], norm, rtol=1e-6)


def test_the_estimate_settles_at_the_quantile() -> None:
    process = clipping_factory(no_noise(1.0, 0.8, 0.5), MeanFactory()).create(vector(1), to_type(np.float32))
    norms = np.linspace(1, 10, 10, dtype=np.float32)[:, None]
    state = process.initialize()
    for _ in range(40):
        output = process.next(state, list(norms), [1.0] * 10)
        state = output.state
    assert 7.0 < output.measurements["clipping_norm"] < 10.0


@pytest.mark.parametrize(("order", "expected"), [(math.inf, [[4.0, 3.0], 1]), (2.0, [[1.0, 0.0], 2])])
def test_a_value_beyond_the_norm_becomes_zero(order: float, expected: tuple[list[float], int]) -> None:
    factory = zeroing_factory(3.5, SumFactory(), norm_order=order)
    (output,) = rounds_of(factory, vector(2), [[1.0, 0.0], [3.0, 3.0], [0.0, 4.0]])
    np.testing.assert_array_equal(output.result, expected[0])
    assert output.measurements["zeroed_count"] == expected[1]


def test_a_value_that_is_not_finite_becomes_zero() -> None:
    (output,) = rounds_of(
        zeroing_factory(10.0, MeanFactory()), vector(2), [[1.0, 2.0], [math.nan, 0.0], [0.0, -math.inf]]
    )
    np.testing.assert_allclose(output.result, [1 / 3, 2 / 3], rtol=1e-6)
    assert output.measurements["zeroed_count"] == 2


def test_aggregators_nest_and_the_outer_one_comes_first() -> None:
    inner = clipping_factory(2.0, SumFactory())
    (output,) = rounds_of(zeroing_factory(5.0, inner), vector(1), [[1.0], [4.0], [6.0]])
    np.testing.assert_allclose(output.result, [3.0])
    assert output.measurements["zeroed_count"] == 1
    assert output.measurements["zeroing"]["clipped_count"] == 1


def test_a_norm_of_another_order_and_an_estimate_of_nothing_are_refused() -> None:
    with pytest.raises(MisuseError, match="order 2 or infinity"):
        zeroing_factory(1.0, SumFactory(), norm_order=1.0)
    with pytest.raises(MisuseError, match="above 0"):
        no_noise(0.0, 0.5, 0.2)
