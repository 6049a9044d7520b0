"""FedBuff: steps of a buffer of stale updates on a virtual clock, against the same by hand."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import federated as fed
from federated.simulation import SimulationError, half_normal, train_asynchronously
from federated.simulation.datasets import ClientData, from_function
from plans import server
from plans.accumulators.staleness import staleness_weight, weighed
from plans.accumulators.work import WorkAccumulator
from plans.program import Program
from tests.federated.learning import oracle
from tests.federated.learning.regression import (
    CONTEXTS,
    REMEMBERING,
    first_weights,
    linear_model,
    plus,
)
from tests.plans.linear import PLAN, STATE, TRAIN
from wire.tensors import Array

pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(300)]

ETA, ETA_G, K, EPOCHS, STEPS = 0.05, 0.7, 2, 2, 6
SECONDS = {"a": 1.0, "b": 3.3, "c": 0.45}
build_sgdm = fed.learning.optimizers.build_sgdm


def clients(**changed: Array) -> ClientData:
    """Three clients; the x of some may be another."""

    def read(name: str) -> tuple[Array, Array]:
        x, y = (np.concatenate(parts) for parts in zip(*REMEMBERING[name], strict=True))
        return (changed[name], y[: len(changed[name])]) if name in changed else (x, y)

    return from_function(list(REMEMBERING), read)


def built(model: Any, buffer_size: int = K) -> Any:
    return fed.learning.algorithms.build_fed_buff(model, build_sgdm(ETA), build_sgdm(ETA_G), buffer_size=buffer_size)


def held(process: Any, data: ClientData, steps: int, **options: Any) -> Any:
    """A run whose clients go through all of their examples in one batch, so that their order means nothing."""
    options = {"concurrency": 3, "batch_size": 10, "epochs": 1, "show_progress": False, **options}
    return train_asynchronously(process, data, server_steps=steps, **options)


@pytest.mark.parametrize("context", CONTEXTS)
def test_every_step_is_that_of_the_paper(context: str) -> None:
    """All three clients are always at work, so the one that ends is the one that begins again."""
    model = linear_model()
    process, found = built(model), []

    def evaluate(state: Any) -> dict[str, float]:
        found.append(process.get_model_weights(state).trainable)
        return {}

    with CONTEXTS[context]():
        result = held(process, clients(), STEPS, delay=lambda name, random: SECONDS[name], evaluate=evaluate)
    expected = list(_by_hand(model))
    for weights, (w, staleness, now), step in zip(found, expected, result.rounds, strict=True):
        for one, other in zip(weights, w, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6)
        assert step.metrics["staleness"] == staleness
        np.testing.assert_allclose(step.metrics["virtual_seconds"], now)
    assert max(staleness for _, staleness, _ in expected) > 1


def _by_hand(model: Any) -> Iterator[tuple[oracle.Weights, float, float]]:
    """Algorithms 1 and 2: the model after each step, how stale its updates were, and the clock."""
    w, t = first_weights(model), 0
    at_work = {name: (seconds, w, t) for name, seconds in SECONDS.items()}
    total, stale = [value * 0 for value in w], []
    while t < STEPS:
        name = min(at_work, key=lambda one: at_work[one][0])
        now, began, t_i = at_work[name]
        examples = [np.concatenate(parts) for parts in zip(*REMEMBERING[name], strict=True)]
        y = plus(began, oracle.gradient(began, *examples), -ETA)
        stale.append(t - t_i)
        total = plus(total, plus(y, began, -1), 1 / np.sqrt(1 + stale[-1]))
        if len(stale) == K:
            w, t = plus(w, total, ETA_G / K), t + 1
            yield w, float(np.mean(stale)), now
            total, stale = [value * 0 for value in w], []
        at_work[name] = (now + SECONDS[name], w, t)


def test_an_orchestrator_makes_the_same_step_of_the_same_buffer() -> None:
    """By the golden plan, which is of the same model, with updates of one example each."""
    process = built(linear_model(), buffer_size=3)
    state, stalenesses = process.initialize(), (0, 2, 5)
    buffer = [
        (process.train(state, REMEMBERING[name]).update, staleness)
        for name, staleness in zip(REMEMBERING, stalenesses, strict=True)
    ]
    expected = process.get_model_weights(process.take(state, buffer)).trainable

    running = WorkAccumulator(TRAIN, len(buffer))
    for delta, staleness in buffer:
        running.accumulate(weighed(TRAIN, as_reported(delta["trainable"]), staleness_weight(staleness, 0.5)))
    w, b = process.get_model_weights(state).trainable
    before = {**STATE, "w": w.ravel(), "b": b.reshape(()), "server_learning_rate": np.array(ETA_G, np.float32)}
    after = server.update(Program(PLAN.server), PLAN.manifest, TRAIN, before, running.finalize()).state
    np.testing.assert_allclose(after["w"], np.ravel(expected[0]), atol=1e-6)
    np.testing.assert_allclose(after["b"], np.ravel(expected[1])[0], atol=1e-6)


def as_reported(delta: Any) -> dict[str, Array]:
    return {"w": np.ravel(delta[0]), "b": np.reshape(delta[1], ()), "weight": np.array(1, np.float32)}


def test_a_run_is_the_same_every_time_and_another_with_another_seed() -> None:
    process = built(linear_model())
    runs = [held(process, clients(), 4, concurrency=2, seed=seed, delay=half_normal) for seed in (1, 1, 2)]
    weights = [np.concatenate([np.ravel(w) for w in process.get_model_weights(run.state).trainable]) for run in runs]
    np.testing.assert_array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])
    times = [one.metrics["virtual_seconds"] for one in runs[0].rounds]
    assert times == sorted(times)


def test_one_client_at_a_time_is_never_stale() -> None:
    result = held(built(linear_model(), buffer_size=1), clients(), 4, concurrency=1)
    assert [one.metrics["staleness"] for one in result.rounds] == [0.0] * 4


def test_who_has_no_examples_or_sends_nan_takes_no_place_in_the_buffer() -> None:
    data = clients(b=np.zeros((0, 2), np.float32), c=np.full((3, 2), np.nan, np.float32))
    result = held(built(linear_model()), data, 2, delay=lambda name, random: SECONDS[name])
    assert sum(one.empty for one in result.rounds) > 0
    assert sum(one.refused for one in result.rounds) > 0
    assert "client 'c'" in next(one.reason for one in result.rounds if one.refused)
    assert all(np.isfinite(one.metrics["loss"]) for one in result.rounds)


def test_nobody_who_can_hand_anything_in_ends_the_run() -> None:
    nothing = {name: np.zeros((0, 2), np.float32) for name in REMEMBERING}
    with pytest.raises(SimulationError, match="no client hands anything in"):
        held(built(linear_model()), clients(**nothing), 1)


@pytest.mark.parametrize(
    ("options", "message"), [({"concurrency": 4}, "within 1 and the 3"), ({"delay": lambda *_: -1.0}, "a delay is 0")]
)
def test_runs_that_cannot_be_held_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SimulationError, match=message):
        held(built(linear_model()), clients(), 1, **options)


def test_buffers_of_another_size_are_refused() -> None:
    with pytest.raises(fed.MisuseError, match="at least 1"):
        built(linear_model(), buffer_size=0)
    process = built(linear_model())
    state = process.initialize()
    update = process.train(state, REMEMBERING["a"]).update
    with pytest.raises(fed.MisuseError, match="a step of 2 updates, found 1"):
        process.take(state, [(update, 0)])
