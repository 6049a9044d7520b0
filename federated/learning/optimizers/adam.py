"""Adam: m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g², w ← w − η √(1 − β₂ᵗ) / (1 − β₁ᵗ) · m / (√v + ε).

Kingma and Ba, "Adam: A Method for Stochastic Optimization" (2015), in the order of the end of its section 2. The
powers βᵗ are kept as products, so that t needs no integer.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from federated.learning.optimizers.optimizer import Optimizer, State

Second = Callable[[Any, Any, Any], Any]
"""The next v, from v, g and β₂."""


def build_adam(learning_rate: float, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7) -> Optimizer:
    """Adam with learning rate η."""
    return with_second_moment(_second, learning_rate, beta_1, beta_2, epsilon, first=0.0)


def with_second_moment(
    second: Second, learning_rate: float, beta_1: float, beta_2: float, epsilon: float, *, first: float
) -> Optimizer:
    """Adam with another rule for v, which starts at `first`."""
    hparams = {
        "learning_rate": learning_rate,
        "beta_1": beta_1,
        "beta_2": beta_2,
        "epsilon": epsilon,
        "beta_1_power": 1.0,
        "beta_2_power": 1.0,
    }

    def step(state: State, weights: Any, gradients: Any) -> tuple[State, Any]:
        from federated.backends.mathematics import sqrt

        eta, beta_1, beta_2, epsilon = (state[name] for name in ("learning_rate", "beta_1", "beta_2", "epsilon"))
        power_1, power_2 = state["beta_1_power"] * beta_1, state["beta_2_power"] * beta_2
        m = [beta_1 * m + (1 - beta_1) * g for m, g in zip(state["accumulator"], gradients, strict=True)]
        v = [second(v, g, beta_2) for v, g in zip(state["preconditioner"], gradients, strict=True)]
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

    return Optimizer(hparams, ("accumulator", "preconditioner"), step, {"preconditioner": first})


def _second(v: Any, g: Any, beta_2: Any) -> Any:
    return beta_2 * v + (1 - beta_2) * g * g
