"""Yogi: as Adam, but v ← v − (1 − β₂) sign(v − g²) g², which grows no faster than it shrinks.

Zaheer, Reddi, Sachan, Kale and Kumar, "Adaptive Methods for Nonconvex Optimization" (2018). As in TensorFlow
Federated, m starts at 0, v at 1e-6, and both are corrected for their start as Adam's are.
"""

from typing import Any

from federated.learning.optimizers.adam import with_second_moment
from federated.learning.optimizers.optimizer import Optimizer


def build_yogi(
    learning_rate: float,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-3,
    initial_preconditioner_value: float = 1e-6,
) -> Optimizer:
    """Yogi with learning rate η."""
    return with_second_moment(_second, learning_rate, beta_1, beta_2, epsilon, first=initial_preconditioner_value)


def _second(v: Any, g: Any, beta_2: Any) -> Any:
    from federated.backends.mathematics import sign

    return v - (1 - beta_2) * sign(v - g * g) * g * g
