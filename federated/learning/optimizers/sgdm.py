"""Gradient descent, with or without momentum: v ← μ v + g, w ← w − η v.

Sutskever, Martens, Dahl and Hinton, "On the importance of initialization and momentum in deep learning" (2013); as in
TensorFlow Federated, the learning rate is outside the velocity.
"""

from collections import OrderedDict
from typing import Any

from federated.learning.optimizers.optimizer import Optimizer, State


def build_sgdm(learning_rate: float, momentum: float | None = None) -> Optimizer:
    """Gradient descent with learning rate η and momentum μ; None for none."""
    if momentum is None:
        return Optimizer({"learning_rate": learning_rate}, (), _descend, {})
    return Optimizer({"learning_rate": learning_rate, "momentum": momentum}, ("velocity",), _descend_with_momentum, {})


def _descend(state: State, weights: Any, gradients: Any) -> tuple[State, Any]:
    eta = state["learning_rate"]
    return state, [w - eta * g for w, g in zip(weights, gradients, strict=True)]


def _descend_with_momentum(state: State, weights: Any, gradients: Any) -> tuple[State, Any]:
    eta, mu = state["learning_rate"], state["momentum"]
    v = [mu * v + g for v, g in zip(state["velocity"], gradients, strict=True)]
    w = [w - eta * v for w, v in zip(weights, v, strict=True)]
    return OrderedDict(learning_rate=eta, momentum=mu, velocity=v), w
