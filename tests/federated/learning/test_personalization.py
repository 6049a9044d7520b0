"""What fine-tuning is worth to each client, against training and evaluating each by hand."""

from typing import Any

import numpy as np
import pytest

import federated as fed
from wire.tensors import Array

pytestmark = pytest.mark.tensorflow
LEARNING_RATE, CLIENTS = 0.5, 6


@pytest.mark.parametrize("context", ["local", "plan"])
def test_each_client_is_measured_before_and_after_its_own_training(context: str) -> None:
    import keras

    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = fed.learning.models.functional_model_from_keras(network, loss, metrics=["accuracy"])
    data = [_client(seed) for seed in range(CLIENTS)]
    optimizer, algorithms = fed.learning.optimizers.build_sgdm(LEARNING_RATE), fed.learning.algorithms
    evaluate = algorithms.build_personalization_eval(model, optimizer)
    with {"local": fed.local_context, "plan": fed.plan_context}[context]():
        found = evaluate(model.initial_weights, data)
    w, b = (np.asarray(value, np.float64) for value in model.initial_weights.trainable)
    before = [_accuracy(w, b, client) for client in data]
    after = [_accuracy(*_trained(w, b, client), client) for client in data]
    (metric,) = model.metrics
    losses = [_loss(*_trained(w, b, client), client) for client in data]
    np.testing.assert_allclose(found["after"]["loss"], np.mean(losses), atol=1e-6)
    for part, accuracies in (("before", before), ("after", after)):
        np.testing.assert_allclose(found[part][metric], np.mean(accuracies), atol=1e-6)
        # The distribution comes from a histogram of a hundred bins, and is read as if it were even within each.
        median = float(found[part]["percentiles"][2])
        assert sorted(accuracies)[CLIENTS // 2 - 1] - 0.02 <= median <= sorted(accuracies)[CLIENTS // 2] + 0.02


def _client(seed: int) -> list[tuple[Array, Array]]:
    random = np.random.default_rng(seed)
    x = random.normal(size=(12, 2)).astype(np.float32)
    y = (x @ random.normal(size=(2, 3))).argmax(1).astype(np.int32)
    return [(x[:8], y[:8]), (x[8:], y[8:])]


def _accuracy(w: Array, b: Array, client: list[tuple[Array, Array]]) -> float:
    hits = [(x @ w + b).argmax(1) == y for x, y in client]
    return float(np.concatenate(hits).mean())


def _loss(w: Array, b: Array, client: list[tuple[Array, Array]]) -> float:
    x, y = (np.concatenate(parts) for parts in zip(*client, strict=True))
    logits = x @ w + b
    return float((np.log(np.exp(logits).sum(1)) - logits[np.arange(len(y)), y]).mean())


def _trained(w: Array, b: Array, client: list[tuple[Array, Array]]) -> tuple[Any, Any]:
    for x, y in client:
        logits = x @ w + b
        p = np.exp(logits - logits.max(1, keepdims=True))
        error = (p / p.sum(1, keepdims=True) - np.eye(3)[y]) / len(x)
        w, b = w - LEARNING_RATE * x.T @ error, b - LEARNING_RATE * error.sum(0)
    return w, b
