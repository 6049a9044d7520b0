"""Softmax regression on scikit-learn's 1,797 digits, dealt to clients: aggregators are compared in seconds."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wire.tensors import Array

LEARNING_RATE, BATCH_SIZE = 0.5, 20
_TEST_EXAMPLES = 450
Update = OrderedDict[str, Array]


@dataclass(frozen=True)
class Digits:
    """Some examples.

    Attributes:
        x: float32[n, 64], values in [0, 1].
        y: int32[n]
    """

    x: Array
    y: Array


def dealt(clients: int, seed: int, *, skew: float | None = None) -> tuple[list[Digits], Digits]:
    """The clients' examples, and those for testing.

    Args:
        skew: the concentration of a Dirichlet draw of every digit's share; None for clients that are all alike.
    """
    from sklearn.datasets import load_digits

    random = np.random.default_rng(seed)
    digits = load_digits()
    order = random.permutation(len(digits.target))
    x, y = (digits.data[order] / 16).astype(np.float32), digits.target[order].astype(np.int32)
    test = Digits(x[:_TEST_EXAMPLES], y[:_TEST_EXAMPLES])
    x, y = x[_TEST_EXAMPLES:], y[_TEST_EXAMPLES:]
    owners = np.arange(len(y)) % clients
    if skew is not None:
        for label in range(10):
            mine = y == label
            owners[mine] = random.choice(clients, mine.sum(), p=random.dirichlet(np.full(clients, skew)))
    return [Digits(x[owners == client], y[owners == client]) for client in range(clients)], test


def first_model() -> Update:
    """Zeros, from which softmax regression may start."""
    return OrderedDict(kernel=np.zeros((64, 10), np.float32), bias=np.zeros(10, np.float32))


def trained(model: Update, client: Digits) -> Update:
    """What one epoch of gradient descent on a client's examples changes."""
    kernel, bias = model["kernel"].copy(), model["bias"].copy()
    for start in range(0, len(client.y), BATCH_SIZE):
        x, y = client.x[start : start + BATCH_SIZE], client.y[start : start + BATCH_SIZE]
        error = _softmax(x @ kernel + bias)
        error[np.arange(len(y)), y] -= 1
        kernel -= LEARNING_RATE * x.T @ error / len(y)
        bias -= LEARNING_RATE * error.mean(0)
    return OrderedDict(kernel=kernel - model["kernel"], bias=bias - model["bias"])


def accuracy(model: Update, test: Digits) -> float:
    """How many of the test examples are told right."""
    return float(((test.x @ model["kernel"] + model["bias"]).argmax(1) == test.y).mean())


def added(model: Update, update: Update) -> Update:
    """The model that an update leads to."""
    return OrderedDict((name, np.asarray(value + update[name], np.float32)) for name, value in model.items())


def _softmax(logits: Array) -> Array:
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(shifted / shifted.sum(1, keepdims=True))


def scaled(update: Update, factor: float) -> Update:
    """What a lying client sends in the place of its update."""
    return OrderedDict((name, np.asarray(value * factor, np.float32)) for name, value in update.items())


def sizes(clients: Sequence[Digits]) -> list[float]:
    """How many examples each has."""
    return [float(len(client.y)) for client in clients]
