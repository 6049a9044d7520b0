"""Robust aggregators in both contexts, and how they keep a model when a fifth of the clients lie."""

from typing import Any

import numpy as np
import pytest

import federated as fed
from benchmarks import robustness
from federated.aggregators import RobustMeanFactory, SecureSumFactory, clipping_factory
from federated.language.errors import CompilationError, ExecutionError
from federated.language.types import to_type
from tests.federated.aggregators.rounds import FLOAT, rounds_of, vector
from wire.tensors import Array

pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(300)]

FACTORIES = {
    "median": RobustMeanFactory("median"),
    "trimmed mean": RobustMeanFactory("trimmed_mean", fraction=0.25),
    "Krum": RobustMeanFactory("krum", byzantine=2),
    "multi-Krum": RobustMeanFactory("krum", byzantine=2, selected=4),
    "geometric median": RobustMeanFactory("geometric_median"),
}
TYPE = to_type({"kernel": (np.float32, [3, 2]), "bias": np.float32})


def clients(count: int, liars: int) -> list[dict[str, Array]]:
    random = np.random.default_rng(count)

    def client(size: float) -> dict[str, Array]:
        kernel = (size * random.normal(size=(3, 2))).astype(np.float32)
        return {"kernel": kernel, "bias": np.asarray(random.normal(), np.float32)}

    return [client(1e4 if index < liars else 1.0) for index in range(count)]


@pytest.mark.parametrize("name", FACTORIES)
def test_the_contexts_agree(name: str) -> None:
    weights = [1.0, 3.0, 0.0, 2.0, 1.0, 1.0, 0.5, 1.0, 1.0]
    (output,) = rounds_of(FACTORIES[name], TYPE, clients(9, liars=2), weights=weights)
    assert np.abs(output.result["kernel"]).max() < 3.0


def test_clipping_may_stand_around_a_robust_mean() -> None:
    values = [[0.0, 1.0], [3.0, 4.0], [0.0, 2.0]]
    (output,) = rounds_of(clipping_factory(1.0, RobustMeanFactory("median")), vector(2), values)
    np.testing.assert_allclose(output.result, [0.0, 1.0], rtol=1e-6)


def test_too_few_clients_for_krum_fail_the_round_in_both_contexts() -> None:
    process = FACTORIES["Krum"].create(FLOAT, FLOAT)
    for context in (fed.local_context(), fed.plan_context()):
        with context, pytest.raises(ExecutionError, match="more than 6"):
            process.next((), [1.0] * 6, [1.0] * 6)


def test_a_robust_mean_beside_a_secure_sum_is_refused() -> None:
    robust, secure = RobustMeanFactory("median").create(FLOAT, FLOAT), SecureSumFactory(1.0).create(FLOAT)

    @fed.federated_computation(fed.FederatedType(np.float32, fed.CLIENTS), secure.initialize.type_signature.result)
    def both(value: Any, state: Any) -> Any:
        weight = fed.federated_value(np.float32(1), fed.CLIENTS)
        return robust.next(fed.federated_value((), fed.SERVER), value, weight).result, secure.next(state, value).result

    with fed.plan_context(), pytest.raises(CompilationError, match="median takes every client's value in the clear"):
        both([0.5, 0.25, 0.75], 1.0)


ROUNDS, LAST, MOST_LOST = 100, 10, 0.03


def last_accuracy(aggregator: str, attack: str) -> float:
    """The mean over the last rounds, between which Krum's model changes with the client that it chose."""
    return float(np.mean(robustness.curve(aggregator, attack, "even", ROUNDS)[-LAST:]))


@pytest.mark.parametrize("aggregator", [name for name in robustness.AGGREGATORS if name != "mean"])
def test_a_fifth_of_lying_clients_costs_no_robust_aggregator_much(aggregator: str) -> None:
    clean = last_accuracy(aggregator, "none")
    for attack in ("sign-flipped", "scaled by 10", "both"):
        assert last_accuracy(aggregator, attack) > clean - MOST_LOST, attack


def test_the_plain_mean_falls_apart() -> None:
    assert last_accuracy("mean", "none") > 0.9
    assert last_accuracy("mean", "both") < 0.3
