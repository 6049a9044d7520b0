"""What Keras itself computes: the slow and obvious version that every export is held against.

Nothing here is lowered, padded or shared with `learner`: Keras's own forward pass, loss, metric and optimizer, on
batches without padding.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from model_export.checked_model import CheckedModel
from model_export.objective import LOSS, Objective
from wire.tensors import Array


class Reference:
    """Keras's numbers for one model and objective, as functions of the parameters' values.

    It holds variables of its own, for Keras's optimizers step variables; the model's own are never touched.
    """

    def __init__(self, model: CheckedModel, objective: Objective) -> None:
        self._model = model
        self._objective = objective
        self._variables = [keras.Variable(parameter.value) for parameter in model.parameters]
        self._optimizer = keras.optimizers.SGD(objective.learning_rate)
        self._optimizer.build(self._variables)
        self._step = _function(self._trace_step)
        self._output = _function(self._trace_output)
        self._measure = _function(self._trace_measure)

    def step(
        self, values: Sequence[Array], x: Array, y: Array, learning_rate: float | None = None
    ) -> tuple[float, list[Array]]:
        """The mean loss of a batch, and the parameters after one step of Keras's SGD.

        The step is taken at the objective's learning rate where no other is given.
        """
        self._assign(values)
        self._optimizer.learning_rate = self._objective.learning_rate if learning_rate is None else learning_rate
        loss = float(self._step(tf.constant(x), tf.constant(y)))
        return loss, [variable.value.numpy() for variable in self._variables]

    def output(self, values: Sequence[Array], x: Array) -> Array:
        """The model's output for a batch."""
        self._assign(values)
        return np.asarray(self._output(tf.constant(x)))

    def measure(self, values: Sequence[Array], x: Array, y: Array) -> Mapping[str, float]:
        """The sum over a batch of the loss and of every metric."""
        self._assign(values)
        return {name: float(value) for name, value in self._measure(tf.constant(x), tf.constant(y)).items()}

    def _assign(self, values: Sequence[Array]) -> None:
        for variable, value in zip(self._variables, values, strict=True):
            variable.assign(value)

    def _trace_step(self, x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = self._objective.loss(y, self._model.apply(self._values, x, training=True))
        gradients = tape.gradient(loss, self._values, unconnected_gradients="zero")
        self._optimizer.apply(gradients, self._variables)
        return loss

    def _trace_output(self, x: Any) -> Any:
        return self._model.apply(self._values, x, training=False)

    def _trace_measure(self, x: Any, y: Any) -> dict[str, Any]:
        outputs = self._trace_output(x)
        accuracy = tf.reduce_sum(keras.metrics.sparse_categorical_accuracy(y, outputs))
        count = tf.cast(tf.shape(y)[0], tf.float32)
        return {LOSS: self._objective.loss(y, outputs) * count} | dict.fromkeys(self._objective.metrics, accuracy)

    @property
    def _values(self) -> list[Any]:
        return [variable.value for variable in self._variables]


def _function(body: Callable[..., Any]) -> Any:
    return tf.function(body, autograph=False, reduce_retracing=True)
