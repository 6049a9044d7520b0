"""Adagrad: a ← a + g², w ← w − η g / √(a + ε).

Duchi, Hazan and Singer, "Adaptive Subgradient Methods for Online Learning and Stochastic Optimization" (2011). As in
TensorFlow Federated, a starts at 0.1 and ε is inside the root.
"""

from collections import OrderedDict
from typing import Any

from federated.learning.optimizers.optimizer import Optimizer, State


def build_adagrad(learning_rate: float, initial_preconditioner_value: float = 0.1, epsilon: float = 1e-7) -> Optimizer:
    """Adagrad with learning rate η."""
    return Optimizer(
        {"learning_rate": learning_rate, "epsilon": epsilon},
        ("preconditioner",),
        _step,
        {"preconditioner": initial_preconditioner_value},
    )


def _step(state: State, weights: Any, gradients: Any) -> tuple[State, Any]:
    from federated.backends.mathematics import sqrt

    eta, epsilon = state["learning_rate"], state["epsilon"]
    a = [a + g * g for a, g in zip(state["preconditioner"], gradients, strict=True)]
    w = [w - eta * g / sqrt(a + epsilon) for w, g, a in zip(weights, gradients, a, strict=True)]
    return OrderedDict(learning_rate=eta, epsilon=epsilon, preconditioner=a), w
