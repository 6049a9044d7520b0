"""Yogi: as Adam, but v ← v − (1 − β₂) sign(v − g²) g², which grows no faster than it shrinks.

Zaheer, Reddi, Sachan, Kale and Kumar, "Adaptive Methods for Nonconvex Optimization" (2018). As in TensorFlow
Federated, m starts at 0, v at 1e-6, and both are corrected for their start as Adam's are.
"""

from collections import OrderedDict
from typing import Any

from federated.learning.optimizers.optimizer import Optimizer, State


def build_yogi(
    learning_rate: float,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-3,
    initial_preconditioner_value: float = 1e-6,
) -> Optimizer:
    """Yogi with learning rate η."""
    hparams = {
        "learning_rate": learning_rate,
        "beta_1": beta_1,
        "beta_2": beta_2,
        "epsilon": epsilon,
        "beta_1_power": 1.0,
        "beta_2_power": 1.0,
    }
    return Optimizer(
        hparams, ("accumulator", "preconditioner"), _step, {"preconditioner": initial_preconditioner_value}
    )


def _step(state: State, weights: Any, gradients: Any) -> tuple[State, Any]:
    from federated.backends.mathematics import sign, sqrt

    eta, beta_1, beta_2, epsilon = (state[name] for name in ("learning_rate", "beta_1", "beta_2", "epsilon"))
    power_1, power_2 = state["beta_1_power"] * beta_1, state["beta_2_power"] * beta_2
    m = [beta_1 * m + (1 - beta_1) * g for m, g in zip(state["accumulator"], gradients, strict=True)]
    v = [v - (1 - beta_2) * sign(v - g * g) * g * g for v, g in zip(state["preconditioner"], gradients, strict=True)]
    rate = eta * sqrt(1 - power_2) / (1 - power_1)
    w = [w - rate * m / (sqrt(v) + epsilon) for w, m, v in zip(weights, m, v, strict=True)]
    next_state = OrderedDict(
        learning_rate=eta,
        beta_1=beta_1,
        beta_2=beta_2,
        epsilon=epsilon,
        beta_1_power=power_1,
        beta_2_power=power_2,
        accumulator=m,
        preconditioner=v,
    )
    return next_state, w
