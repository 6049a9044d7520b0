"""Learning with an aggregator of one's choice: its state and its measurements, the same in both contexts."""

from typing import Any

import numpy as np
import pytest

import federated as fed
from federated.aggregators import EncodedSumFactory, MeanFactory, RobustMeanFactory, SumFactory, clipping_factory
from federated.language.errors import MisuseError
from plans.manifest import Kind
from tests.federated.learning.regression import CLIENTS, CONTEXTS, linear_model

pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(300)]
ETA = 0.05


@pytest.fixture(scope="module")
def model() -> Any:
    return linear_model()


def trained(model: Any, aggregator: Any, context: str, rounds: int = 2) -> tuple[Any, Any, Any]:
    process = fed.learning.algorithms.build_weighted_fed_avg(
        model, fed.learning.optimizers.build_sgdm(ETA), model_aggregator=aggregator
    )
    with CONTEXTS[context]():
        state = process.initialize()
        for _ in range(rounds):
            state, metrics = process.next(state, CLIENTS)
    return process.get_model_weights(state), state, metrics


@pytest.mark.parametrize(
    "aggregator",
    [
        fed.learning.robust_aggregator(),
        fed.learning.secure_aggregator(),
        RobustMeanFactory("geometric_median"),
        MeanFactory(SumFactory()),
    ],
    ids=["robust_aggregator", "secure_aggregator", "geometric median", "sums"],
)
def test_the_contexts_agree(aggregator: Any, model: Any) -> None:
    local, plan = (trained(model, aggregator, context)[0] for context in CONTEXTS)
    for expected, found in zip(local.trainable, plan.trainable, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_aggregators_state_and_measurements_come_back(model: Any) -> None:
    _, state, metrics = trained(model, fed.learning.robust_aggregator(), "local", rounds=1)
    assert metrics["aggregator"]["zeroing_norm"] == 21.0
    assert metrics["aggregator"]["zeroing"]["clipping_norm"] == 1.0
    estimate = state.aggregator["inner_agg"]["clipping_norm"]["estimate"]
    assert estimate == pytest.approx(np.exp(-0.2 * (1 - 0.8)), rel=1e-5)


def test_the_secure_aggregator_is_near_the_robust_one_and_says_its_bound(model: Any) -> None:
    secure, _, metrics = trained(model, fed.learning.secure_aggregator(), "local", rounds=1)
    robust = trained(model, fed.learning.robust_aggregator(), "local", rounds=1)[0]
    for expected, found in zip(robust.trainable, secure.trainable, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-3)
    for factory in (fed.learning.secure_aggregator(), fed.learning.secure_aggregator(weighted=False)):
        type_ = fed.to_type(np.float32)
        process = factory.create(type_, type_) if factory.is_weighted else factory.create(type_)
        (work,) = fed.compiled(process.next).plan.manifest.works.values()
        assert {entry.kind for entry in work.aggregation} == {Kind.SECURE_SUM}
    measured = metrics["aggregator"]["zeroing"]["clipping"]["mean_value"]
    assert measured["secure_upper_threshold"] == 100.0


def test_clipping_bounds_what_a_round_changes(model: Any) -> None:
    first = [np.asarray(value) for value in model.initial_weights.trainable]
    weights, _, metrics = trained(model, clipping_factory(0.01, MeanFactory()), "local", rounds=1)
    moved = np.concatenate([np.ravel(w - w0) for w, w0 in zip(weights.trainable, first, strict=True)])
    assert np.linalg.norm(moved) <= 0.01 * (1 + 1e-5)
    assert metrics["aggregator"]["clipped_count"] == 2


def test_compressed_rounds_are_near_the_others(model: Any) -> None:
    plain = trained(model, None, "plan")[0].trainable
    for context in CONTEXTS:
        compressed = trained(model, MeanFactory(EncodedSumFactory(8)), context)[0].trainable
        for expected, found in zip(plain, compressed, strict=True):
            np.testing.assert_allclose(found, expected, atol=0.02)


def test_an_aggregator_without_weights_is_for_unweighted_algorithms(model: Any) -> None:
    sgd = fed.learning.optimizers.build_sgdm(ETA)
    mean = fed.aggregators.UnweightedMeanFactory()
    with pytest.raises(MisuseError, match="takes no weights"):
        fed.learning.algorithms.build_weighted_fed_avg(model, sgd, model_aggregator=mean)
    process = fed.learning.algorithms.build_unweighted_fed_avg(model, sgd, model_aggregator=mean)
    plain = fed.learning.algorithms.build_unweighted_fed_avg(model, sgd)
    for found, expected in zip(
        *(one.next(one.initialize(), CLIENTS).state.global_model_weights.trainable for one in (process, plain)),
        strict=True,
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-6)
