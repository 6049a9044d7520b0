"""A noised sum: the sum on its grid without noise, and noise of the size it is told, for each element its own."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import federated as fed
from federated.language.errors import ExecutionError, PlacementError

ELEMENTS = 40_000
SIX_SIGMA = 6
AT_CLIENTS = fed.FederatedType((np.float32, [2]), fed.CLIENTS)
AT_SERVER = fed.FederatedType(np.float32, fed.SERVER)


@fed.federated_computation(fed.FederatedType((np.float32, [ELEMENTS]), fed.CLIENTS), AT_SERVER)
def noised(value: Any, stddev: Any) -> Any:
    return fed.federated_noised_sum(value, stddev)


@given(st.lists(st.lists(st.floats(-1e4, 1e4, width=32), min_size=2, max_size=2), max_size=5))
def test_without_noise_it_is_the_sum(values: list[list[float]]) -> None:
    both = fed.federated_computation(
        lambda value: (fed.federated_noised_sum(value, 0.0), fed.federated_sum(value)), AT_CLIENTS
    )
    without, plain = both([np.array(value, np.float32) for value in values])
    np.testing.assert_allclose(without, plain, rtol=1e-6, atol=2.0**-32 * max(len(values), 1))


@pytest.mark.parametrize("stddev", [0.01, 3.0, 2.0**20])
def test_the_noise_is_gaussian_and_of_the_size_that_the_server_says(stddev: float) -> None:
    noise = noised([np.ones(ELEMENTS, np.float32)] * 3, stddev) - 3
    assert abs(noise.var() / stddev**2 - 1) < SIX_SIGMA * math.sqrt(2 / ELEMENTS)
    assert abs(noise.mean()) < SIX_SIGMA * stddev / math.sqrt(ELEMENTS)
    assert abs((noise**4).mean() / stddev**4 - 3) < SIX_SIGMA * math.sqrt(96 / ELEMENTS)


def test_every_call_and_every_tensor_has_a_noise_of_its_own() -> None:
    value = [np.zeros(ELEMENTS, np.float32)]
    assert not np.array_equal(noised(value, 1.0), noised(value, 1.0))
    pair = fed.FederatedType([("a", (np.float32, [2])), ("b", (np.float32, [2]))], fed.CLIENTS)
    both = fed.federated_computation(lambda value: fed.federated_noised_sum(value, 1.0), pair)
    found = both([[np.zeros(2, np.float32)] * 2])
    assert not np.array_equal(found["a"], found["b"])


def test_a_size_is_the_servers_and_a_value_the_clients() -> None:
    with pytest.raises(PlacementError, match="federated_noised_sum's stddev takes a value at SERVER"):
        fed.federated_computation(lambda value: fed.federated_noised_sum(value, value), AT_CLIENTS)
    with pytest.raises(PlacementError, match="federated_noised_sum takes a value at CLIENTS"):
        fed.federated_computation(lambda value: fed.federated_noised_sum(value, 1.0), AT_SERVER)


@pytest.mark.parametrize("stddev", [-1.0, 2.0**21])
def test_a_size_without_meaning_is_refused(stddev: float) -> None:
    with pytest.raises(ExecutionError, match="the stddev of a noise is"):
        noised([np.zeros(ELEMENTS, np.float32)], stddev)


def test_it_survives_being_written_down() -> None:
    plain = fed.federated_computation(lambda value: fed.federated_noised_sum(value, 0.0), AT_CLIENTS)
    again = fed.deserialize_computation(fed.serialize_computation(plain))
    np.testing.assert_array_equal(again([np.array([1, 2], np.float32)] * 2), [2, 4])


PAIR = fed.FederatedType([("a", (np.float32, [2])), ("b", np.float32)], fed.CLIENTS)
PAIR_OF_STEPS = fed.FederatedType([("a", (np.int64, [2])), ("b", np.int64)], fed.SERVER)


@fed.federated_computation(PAIR, AT_SERVER, PAIR_OF_STEPS)
def correlated(value: Any, stddev: Any, earlier: Any) -> Any:
    return fed.federated_correlated_noised_sum(value, stddev, earlier)


def test_correlated_noise_takes_earlier_noise_away_and_tells_its_own() -> None:
    value = [[np.array([1, 2], np.float32), 3.0]] * 2
    found = correlated(value, 2.0, [np.array([1 << 32, 0]), np.int64(1 << 31)])
    for name, expected in (("a", np.array([1.0, 4.0])), ("b", np.array(5.5))):
        np.testing.assert_allclose(found["sum"][name] - found["noise"][name] * 2.0**-32, expected, atol=1e-5)
    assert str(correlated.type_signature.result) == "<sum=<a=float32[2],b=float32>,noise=<a=int64[2],b=int64>>@SERVER"


def test_what_correlated_noise_gives_is_what_it_takes_in_the_next_round() -> None:
    value = [[np.zeros(2, np.float32), 0.0]]
    zeros = [np.zeros(2, np.int64), np.int64(0)]
    first = correlated(value, 5.0, zeros)
    second = correlated(value, 0.0, first["noise"])
    np.testing.assert_array_equal(second["sum"]["a"], -first["sum"]["a"])
    assert second["sum"]["b"] == -first["sum"]["b"]
