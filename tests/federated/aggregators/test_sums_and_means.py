"""Sums and means, plain and put together from other sums."""

import math
from typing import Any

import numpy as np
import pytest

import federated as fed
from federated.aggregators import MeanFactory, SumFactory, UnweightedMeanFactory
from federated.language.errors import ExecutionError, MisuseError
from federated.language.types import to_type
from tests.federated.aggregators.rounds import FLOAT, rounds_of, vector

pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(300)]

VALUES = [[1.0, 2.0], [3.0, -4.0], [0.5, 0.0]]
OWN_SUMS = MeanFactory(SumFactory(), SumFactory())


def test_a_sum_is_the_sum() -> None:
    (output,) = rounds_of(SumFactory(), vector(2), VALUES)
    np.testing.assert_array_equal(output.result, [4.5, -2.0])
    assert (output.state, output.measurements) == ((), ())


@pytest.mark.parametrize("factory", [MeanFactory(), OWN_SUMS])
def test_a_mean_is_weighted(factory: MeanFactory) -> None:
    (output,) = rounds_of(factory, vector(2), VALUES, weights=[1.0, 2.0, 5.0])
    np.testing.assert_allclose(output.result, [(1 + 6 + 2.5) / 8, (2 - 8) / 8], rtol=1e-6)
    assert output.measurements == {"mean_value": (), "mean_weight": ()}


@pytest.mark.parametrize("factory", [UnweightedMeanFactory(), UnweightedMeanFactory(SumFactory())])
def test_an_unweighted_mean_counts_every_client_as_one(factory: UnweightedMeanFactory) -> None:
    (output,) = rounds_of(factory, vector(2), VALUES)
    np.testing.assert_allclose(output.result, [1.5, -2 / 3], rtol=1e-6)


def test_structures_keep_their_containers() -> None:
    type_ = to_type({"kernel": (np.float32, [2]), "bias": np.float32})
    values = [
        {"kernel": np.array([1, 2], np.float32), "bias": 3.0},
        {"kernel": np.array([3, 4], np.float32), "bias": 5.0},
    ]
    (output,) = rounds_of(OWN_SUMS, type_, values)
    assert list(output.result) == ["kernel", "bias"]
    np.testing.assert_array_equal(output.result["kernel"], [2.0, 3.0])
    assert output.result["bias"] == 4.0


@pytest.mark.parametrize("factory", [MeanFactory(), OWN_SUMS])
def test_a_client_of_weight_zero_counts_for_nothing_whatever_its_value(factory: MeanFactory) -> None:
    (output,) = rounds_of(factory, vector(2), [[1.0, 2.0], [math.nan, math.inf]], weights=[3.0, 0.0])
    np.testing.assert_array_equal(output.result, [1.0, 2.0])


def test_a_total_weight_of_zero_is_an_error_or_zero_where_that_is_asked_for() -> None:
    with pytest.raises(ExecutionError, match="weights of a mean are all zero"):
        MeanFactory().create(FLOAT, FLOAT).next((), [1.0], [0.0])
    lenient = MeanFactory(SumFactory(), no_nan_division=True).create(FLOAT, FLOAT)
    assert lenient.next(lenient.initialize(), [1.0], [0.0]).result == 0.0


WRONG: dict[str, tuple[Any, tuple[Any, ...], str]] = {
    "a mean without a weight": (MeanFactory(), (FLOAT,), "MeanFactory takes a weight"),
    "a sum with one": (SumFactory(), (FLOAT, FLOAT), "SumFactory takes no weight"),
    "a mean of integers": (UnweightedMeanFactory(), (to_type([np.int32]),), r"found int32 at \$\[0\]"),
    "a clipped sum with a weight": (fed.aggregators.clipping_factory(1.0, SumFactory()), (FLOAT, FLOAT), "no weight"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_an_aggregator_cannot_do_is_refused_when_it_is_made(name: str) -> None:
    factory, types, message = WRONG[name]
    with pytest.raises(MisuseError, match=message):
        factory.create(*types)
