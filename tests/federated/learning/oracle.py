"""Federated learning by hand: linear regression in NumPy with float64, as the papers write the algorithms."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wire.tensors import Array

Weights = list[Array]
Batches = Sequence[tuple[Array, Array]]


def gradient(weights: Weights, x: Array, y: Array) -> Weights:
    """∇ mean (x w + b − y)²."""
    error = x.astype(np.float64) @ weights[0] + weights[1] - y
    return [2 * x.T.astype(np.float64) @ error / len(x), 2 * error.mean(0)]


def full_gradient(weights: Weights, batches: Batches) -> Weights:
    """The gradient over all of a client's examples."""
    x, y = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    return gradient(weights, x, y)


def train(weights: Weights, batches: Batches, learning_rate: float, mu: float = 0.0) -> tuple[Weights, int]:
    """The weights after one gradient step a batch, with FedProx's pull, and how many examples there were."""
    w, count = [value.copy() for value in weights], 0
    for x, y in batches:
        pull = [mu * (value - start) for value, start in zip(w, weights, strict=True)]
        w = [v - learning_rate * (g + p) for v, g, p in zip(w, gradient(w, x, y), pull, strict=True)]
        count += len(x)
    return w, count


def mean_update(weights: Weights, trained: Sequence[tuple[Weights, float]]) -> Weights:
    """Σ n (w_k − w) / Σ n."""
    total = sum(n for _, n in trained)
    return [
        np.asarray(sum(n * (w[index] - weights[index]) for w, n in trained) / total) for index in range(len(weights))
    ]


@dataclass
class Server:
    """A server's optimizer with its slots: each takes minus the clients' mean as the gradient.

    Attributes:
        rule: `(slots, gradient) -> step`, for one tensor; the step is subtracted.
    """

    rule: Callable[[dict[str, Any], Array], Array]
    slots: list[dict[str, Any]]

    def apply(self, weights: Weights, update: Weights) -> Weights:
        """The next weights."""
        return [w - self.rule(slot, -delta) for w, delta, slot in zip(weights, update, self.slots, strict=True)]


def descent(learning_rate: float) -> Callable[[dict[str, Any], Array], Array]:
    """η g."""
    return lambda slots, g: learning_rate * g


def momentum(learning_rate: float, mu: float) -> Callable[[dict[str, Any], Array], Array]:
    """v ← μ v + g; η v."""

    def rule(slots: dict[str, Any], g: Array) -> Array:
        slots["v"] = mu * slots.get("v", 0) + g
        return np.asarray(learning_rate * slots["v"])

    return rule


def adaptive(
    learning_rate: float, beta_1: float, beta_2: float, epsilon: float, *, yogi: bool = False, start: float = 0.0
) -> Callable[[dict[str, Any], Array], Array]:
    """Adam's step, or Yogi's."""

    def rule(slots: dict[str, Any], g: Array) -> Array:
        t = slots["t"] = slots.get("t", 0) + 1
        m = slots["m"] = beta_1 * slots.get("m", 0) + (1 - beta_1) * g
        v = slots.get("v", start)
        v = v - (1 - beta_2) * np.sign(v - g * g) * g * g if yogi else beta_2 * v + (1 - beta_2) * g * g
        slots["v"] = v
        rate = learning_rate * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
        return np.asarray(rate * m / (np.sqrt(v) + epsilon))

    return rule


def adagrad(learning_rate: float, start: float, epsilon: float) -> Callable[[dict[str, Any], Array], Array]:
    """a ← a + g²; η g / √(a + ε)."""

    def rule(slots: dict[str, Any], g: Array) -> Array:
        slots["a"] = slots.get("a", start) + g * g
        return np.asarray(learning_rate * g / np.sqrt(slots["a"] + epsilon))

    return rule


def rmsprop(learning_rate: float, decay: float, epsilon: float) -> Callable[[dict[str, Any], Array], Array]:
    """v ← ρ v + (1 − ρ) g²; η g / (√v + ε)."""

    def rule(slots: dict[str, Any], g: Array) -> Array:
        slots["v"] = decay * slots.get("v", 0) + (1 - decay) * g * g
        return np.asarray(learning_rate * g / (np.sqrt(slots["v"]) + epsilon))

    return rule


def reddi(
    eta: float, beta_1: float, tau: float, second: Callable[[Any, Array], Array]
) -> Callable[[dict[str, Any], Array], Array]:
    """The server of "Adaptive Federated Optimization", Algorithm 2, of Δ = −g."""

    def rule(slots: dict[str, Any], g: Array) -> Array:
        delta = -g
        slots["m"] = beta_1 * slots.get("m", 0) + (1 - beta_1) * delta
        slots["v"] = second(slots.get("v", tau**2), delta * delta)
        return np.asarray(-eta * slots["m"] / (np.sqrt(slots["v"]) + tau))

    return rule
