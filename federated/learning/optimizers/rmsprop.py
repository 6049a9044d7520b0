"""RMSprop: v ← ρ v + (1 − ρ) g², w ← w − η g / (√v + ε).

Tieleman and Hinton, "Lecture 6.5 - RMSprop" (2012).
"""

from collections import OrderedDict
from typing import Any

from federated.learning.optimizers.optimizer import Optimizer, State


def build_rmsprop(learning_rate: float, decay: float = 0.9, epsilon: float = 1e-7) -> Optimizer:
    """RMSprop with learning rate η and decay ρ."""
    hparams = {"learning_rate": learning_rate, "decay": decay, "epsilon": epsilon}
    return Optimizer(hparams, ("preconditioner",), _step, {})


def _step(state: State, weights: Any, gradients: Any) -> tuple[State, Any]:
    from federated.backends.mathematics import sqrt

    eta, rho, epsilon = state["learning_rate"], state["decay"], state["epsilon"]
    v = [rho * v + (1 - rho) * g * g for v, g in zip(state["preconditioner"], gradients, strict=True)]
    w = [w - eta * g / (sqrt(v) + epsilon) for w, g, v in zip(weights, gradients, v, strict=True)]
    return OrderedDict(learning_rate=eta, decay=rho, epsilon=epsilon, preconditioner=v), w
