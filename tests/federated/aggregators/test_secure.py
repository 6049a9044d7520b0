"""Secure sums of floats: clipped to bounds, put on a grid, and exact from there on."""

import numpy as np
import pytest

from federated.aggregators import MeanFactory, PrivateQuantileEstimationProcess, SecureSumFactory
from federated.language.errors import ExecutionError, MisuseError
from tests.federated.aggregators.rounds import FLOAT, rounds_of, vector

pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(300)]


def test_a_value_is_clipped_and_rounded_to_the_grid() -> None:
    (output,) = rounds_of(SecureSumFactory(3.0, -4.5, bits=4), vector(2), [[0.2, 1.0], [-9.0, 2.7], [9.0, -0.2]])
    # The grid is -4.5, -4.0, …, 3.0.
    np.testing.assert_allclose(output.result, [0.0 - 4.5 + 3.0, 1.0 + 2.5 + 0.0], rtol=1e-6)
    assert output.measurements["secure_upper_threshold"] == 3.0


def test_a_secure_sum_is_the_sum_but_for_the_grid() -> None:
    given = np.random.default_rng(1).uniform(-1, 1, (20, 5)).astype(np.float32)
    (output,) = rounds_of(SecureSumFactory(1.0), vector(5), list(given))
    np.testing.assert_allclose(output.result, given.sum(0), atol=20 * 1e-6)


def test_a_mean_of_secure_sums() -> None:
    factory = MeanFactory(SecureSumFactory(10.0), SecureSumFactory(8.0, 0.0, bits=3 + 10))
    (output,) = rounds_of(factory, vector(1), [[1.0], [2.0]], weights=[1.0, 3.0])
    np.testing.assert_allclose(output.result, [7 / 4], rtol=1e-3)


def test_the_bound_may_follow_the_clients() -> None:
    estimate = PrivateQuantileEstimationProcess.no_noise(1.0, target_quantile=1.0, learning_rate=1.0)
    outputs = rounds_of(SecureSumFactory(estimate), vector(1), *[[[3.0], [-3.0]]] * 3)
    thresholds = [output.measurements["secure_upper_threshold"] for output in outputs]
    np.testing.assert_allclose(thresholds, [1.0, np.e, np.e**2], rtol=1e-6)


def test_a_sum_that_its_integers_cannot_hold_is_an_error() -> None:
    process = SecureSumFactory(1.0, 0.0, bits=24).create(FLOAT)
    with pytest.raises(ExecutionError, match="does not fit int32"):
        process.next(process.initialize(), [1.0] * 129)
    with pytest.raises(MisuseError, match="from 1 to 24"):
        SecureSumFactory(1.0, bits=30).create(FLOAT)
