"""Ditto: personal models that stay with their clients, against the same by hand, over rounds in which some are away."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import federated as fed
from tests.federated.learning import oracle
from tests.federated.learning.regression import (
    COHORTS,
    CONTEXTS,
    REMEMBERING,
    assert_remembering_rounds_are,
    first_weights,
    linear_model,
    mean,
    plus,
)

pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(300)]

ETA, ETA_V, STRENGTH = 0.05, 0.03, 1.5
build_sgdm, build_ditto = fed.learning.optimizers.build_sgdm, fed.learning.algorithms.build_ditto


@pytest.mark.parametrize("context", CONTEXTS)
def test_personal_models_go_on_where_their_clients_left_them(context: str) -> None:
    model = linear_model()
    process = build_ditto(model, STRENGTH, build_sgdm(ETA), build_sgdm(ETA_V))
    personal: dict[str, oracle.Weights] = {}
    states, metrics = assert_remembering_rounds_are(process, context, _by_hand(model, personal))
    for name, v in personal.items():
        kept = states.read(process.next_computation.__name__, name)
        assert kept is not None
        for found, value in zip(kept.values(), v, strict=True):
            np.testing.assert_allclose(found, value, atol=1e-6)
    assert {"loss", "personal_loss", "num_examples"} <= metrics["client_work"]["train"].keys()


def _by_hand(model: Any, personal: dict[str, oracle.Weights]) -> Iterator[oracle.Weights]:
    """Algorithm 1, one batch a step; `personal` has the clients' v."""
    w = first_weights(model)
    for cohort in COHORTS:
        models, counts = [], []
        for name in cohort:
            w_k, v = w, personal.get(name, w)
            for batch in REMEMBERING[name]:
                w_k = plus(w_k, oracle.gradient(w_k, *batch), -ETA)
                pull = [STRENGTH * (value - anchor) for value, anchor in zip(v, w, strict=True)]
                v = plus(v, plus(oracle.gradient(v, *batch), pull), -ETA_V)
            personal[name] = v
            models.append(w_k)
            counts.append(sum(len(x) for x, _ in REMEMBERING[name]))
        w = mean(models, counts)
        yield w


def test_a_personal_model_is_better_where_clients_want_other_models() -> None:
    random = np.random.default_rng(1)
    x = random.normal(size=(12, 2)).astype(np.float32)
    clients = {name: [(x, (x @ np.array([[s], [-s]])).astype(np.float32))] * 4 for name, s in (("a", 2), ("b", -2))}
    process = build_ditto(linear_model(), 0.1, build_sgdm(0.1))
    states = fed.simulation.DeviceStates()
    with fed.plan_context(), states.of(list(clients)):
        state = process.initialize()
        for _ in range(6):
            state, metrics = process.next(state, list(clients.values()))
    measured = metrics["client_work"]["train"]
    assert measured["personal_loss"] < 0.25 * measured["loss"]


def test_a_weighting_of_ones_own_keeps_the_personal_models() -> None:
    process = build_ditto(linear_model(), STRENGTH, build_sgdm(ETA), client_weighting=lambda metrics: metrics["loss"])
    states = fed.simulation.DeviceStates()
    with states.of(["a"]):
        process.next(process.initialize(), [REMEMBERING["a"]])
    assert states.read(process.next_computation.__name__, "a") is not None
