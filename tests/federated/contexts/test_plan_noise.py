"""Noise in the plan that devices run: by a number, by an argument, by what the server computes before the round."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import federated as fed
from plans.manifest import Step
from tests.federated.contexts.agreement import agree

pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(300)]

ELEMENTS = 20_000
SIX_SIGMA = 6
VALUES = [[1.0, 2.0], [3.0, -4.5]]
AT_SERVER = fed.FederatedType(np.float32, fed.SERVER)


@fed.tf_computation(np.float32)
def doubled(x: Any) -> Any:
    return 2 * x


@fed.tf_computation
def nothing() -> Any:
    return tf.constant(0.0)


@fed.tf_computation(np.float32)
def spread(x: Any) -> Any:
    return tf.fill([ELEMENTS], x)


SIZES: dict[str, Callable[[Any], Any]] = {
    "a number": lambda _: 0.0,
    "an argument": lambda size: size,
    "what the server makes of one": lambda size: fed.federated_map(doubled, size),
    "what a computation of its own gives": lambda _: fed.federated_eval(nothing, fed.SERVER),
    "what is placed at the server": lambda _: fed.federated_value(nothing(), fed.SERVER),
}


@pytest.mark.parametrize("name", SIZES)
def test_without_noise_both_contexts_give_the_sum(name: str) -> None:
    size = SIZES[name]

    @fed.federated_computation(fed.FederatedType((np.float32, [2]), fed.CLIENTS), AT_SERVER)
    def total(value: Any, given: Any) -> Any:
        return fed.federated_noised_sum(value, size(given)), fed.federated_sum(value), given

    found = agree(total, [np.array(value, np.float32) for value in VALUES], 0.0)
    np.testing.assert_array_equal(found[0], [4.0, -2.5])


@pytest.mark.parametrize("stddev", [0.5, 40.0])
def test_the_plan_draws_noise_of_the_size_that_prepare_computes(stddev: float) -> None:
    @fed.federated_computation(fed.FederatedType(np.float32, fed.CLIENTS), AT_SERVER)
    def total(value: Any, given: Any) -> Any:
        return fed.federated_noised_sum(fed.federated_map(spread, value), fed.federated_map(doubled, given))

    with fed.plan_context():
        noise = total([1.0, 2.0], stddev / 2) - 3
        again = total([1.0, 2.0], stddev / 2) - 3
    assert abs(noise.var() / stddev**2 - 1) < SIX_SIGMA * math.sqrt(2 / ELEMENTS)
    assert not np.array_equal(noise, again)


def test_the_step_names_its_size_and_the_feature() -> None:
    @fed.federated_computation(fed.FederatedType(np.float32, fed.CLIENTS), AT_SERVER)
    def totals(value: Any, given: Any) -> Any:
        return (
            fed.federated_noised_sum(value, 1.5),
            fed.federated_noised_sum(value, given),
            fed.federated_noised_sum(value, fed.federated_map(doubled, given)),
        )

    manifest = fed.compiled(totals).plan.manifest
    (work,) = manifest.works.values()
    assert "noise" in manifest.required_features
    assert [entry.steps for entry in work.aggregation] == [
        (Step("noise", {"stddev": size}),) for size in (1.5, "given", *work.temp)
    ]


@fed.tf_computation((np.int64, [2]))
def summed_with_itself(steps: Any) -> Any:
    return steps + steps


EARLIER: dict[str, Callable[[Any], Any]] = {
    "an argument": lambda steps: steps,
    "what the server makes of one": lambda steps: fed.federated_map(summed_with_itself, steps),
    "a constant": lambda _: fed.federated_value(np.full(2, 1 << 32), fed.SERVER),
}


@pytest.mark.parametrize("name", EARLIER)
def test_noise_of_an_earlier_round_is_taken_away_by_the_plan(name: str) -> None:
    before = EARLIER[name]

    @fed.federated_computation(
        fed.FederatedType((np.float32, [2]), fed.CLIENTS), fed.FederatedType((np.int64, [2]), fed.SERVER)
    )
    def total(value: Any, steps: Any) -> Any:
        return fed.federated_correlated_noised_sum(value, 0.0, before(steps)), steps

    found, _ = agree(total, [np.array(value, np.float32) for value in VALUES], np.array([1 << 31, -(1 << 33)]))
    assert not found["noise"].any()


def test_the_plan_tells_the_noise_that_it_drew() -> None:
    @fed.federated_computation(
        fed.FederatedType(np.float32, fed.CLIENTS), fed.FederatedType((np.int64, [ELEMENTS]), fed.SERVER)
    )
    def total(value: Any, steps: Any) -> Any:
        return fed.federated_correlated_noised_sum(fed.federated_map(spread, value), 3.0, steps)

    with fed.plan_context():
        found = total([1.0, 2.0], np.zeros(ELEMENTS, np.int64))
    noise = found["noise"] * 2.0**-32
    assert abs(noise.var() / 9 - 1) < SIX_SIGMA * math.sqrt(2 / ELEMENTS)
    np.testing.assert_allclose(found["sum"] - noise, 3.0, atol=1e-5)


def test_in_a_later_phase_the_size_is_carried_to_it() -> None:
    @fed.federated_computation(fed.FederatedType(np.float32, fed.CLIENTS), AT_SERVER)
    def centred(value: Any, given: Any) -> Any:
        size = fed.federated_map(doubled, given)
        mean = fed.federated_mean(value)
        first = fed.federated_noised_sum(value, size)
        below = fed.federated_map(
            fed.tf_computation(lambda x, m: x - m, np.float32, np.float32), (value, fed.federated_broadcast(mean))
        )
        return first, fed.federated_noised_sum(below, size), mean

    found = agree(centred, [1.0, 2.0, 6.0], 0.0)
    assert found[0] == 9.0
    assert found[1] == pytest.approx(0.0, abs=1e-5)
