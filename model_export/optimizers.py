"""Optimizers that Keras lacks, written as Keras optimizers, so that they train there as they do on devices."""

from typing import Any

import keras
from keras import ops


class Yogi(keras.optimizers.Optimizer):  # type: ignore[misc]  # Keras ships no types
    """Yogi: Adam whose second moment grows only additively.

    Zaheer, Reddi, Sachan, Kale and Kumar, "Adaptive Methods for Nonconvex Optimization" (2018), Algorithm 2:

        m_t = β₁ m_{t−1} + (1 − β₁) g_t
        v_t = v_{t−1} − (1 − β₂) sign(v_{t−1} − g_t²) g_t²
        x_{t+1} = x_t − η_t m_t / (√v_t + ε)

    There is no correction of the bias, as in the paper. It starts from m_0 = 0 and v_0 = `initial_accumulator_value`
    (the paper takes the squared gradient of a first batch; the constant is that of its published code).
    """

    def __init__(
        self,
        learning_rate: float = 0.01,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-3,
        initial_accumulator_value: float = 1e-6,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate=learning_rate, **({"name": "yogi"} | options))
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.initial_accumulator_value = initial_accumulator_value

    def build(self, variables: Any) -> None:
        """Make the two moments of every variable."""
        if self.built:
            return
        super().build(variables)
        start = keras.initializers.Constant(self.initial_accumulator_value)
        self._m = [self.add_variable_from_reference(one, name="momentum") for one in variables]
        self._v = [self.add_variable_from_reference(one, name="velocity", initializer=start) for one in variables]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One step; the formula is the class's."""
        index = self._get_variable_index(variable)
        g, m, v = ops.cast(gradient, variable.dtype), self._m[index], self._v[index]
        squared = ops.square(g)
        self.assign_add(m, (1 - self.beta_1) * (g - m))
        self.assign_sub(v, (1 - self.beta_2) * ops.sign(v - squared) * squared)
        rate = ops.cast(learning_rate, variable.dtype)
        self.assign_sub(variable, rate * m / (ops.sqrt(v) + self.epsilon))

    def get_config(self) -> dict[str, Any]:
        """What `from_config` takes."""
        own = ("beta_1", "beta_2", "epsilon", "initial_accumulator_value")
        return dict(super().get_config()) | {name: getattr(self, name) for name in own}
