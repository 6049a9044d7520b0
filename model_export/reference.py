"""What Keras itself computes: the slow and obvious version that every export is held against.

Nothing here is lowered, padded or masked: Keras's own forward pass, loss, metrics and optimizer, on batches without
padding. Random layers are the exception that they must be: they draw what a device draws, for Keras's own numbers are
others.
"""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from model_export.checked_model import Forward
from model_export.drawing import AS_ON_DEVICE, drawing
from model_export.learner import Learner, make_learner
from model_export.objective import LOSS
from wire.tensors import Array, Tensors

_ROUNDING = 1e-6  # of a gradient, in units of the largest


@dataclass(frozen=True)
class Step:
    """One step of Keras.

    Attributes:
        loss: before the step.
        sums: the sum over the batch of the loss and of every metric, before the step and in training.
        moved: the variables after it, by name.
        doubt: how far each of them moves when the gradients change by what they are rounded by. Some optimizers divide
            a gradient by its own size, so that a gradient of nothing but rounding moves a parameter a whole step.
    """

    loss: float
    sums: dict[str, Array]
    moved: dict[str, Array]
    doubt: dict[str, Array]


class Reference:
    """Keras's numbers for one model and objective, as functions of all variables' values, by the file's names.

    It holds variables of its own, for Keras's optimizers step variables; the model's own are never touched.
    """

    def __init__(self, learner: Learner) -> None:
        self._own = make_learner(learner.model, learner.objective, learner.batch_size)
        self._step = _function(self._trace_step)
        self._output = _function(self._trace_output)
        self._measure = _function(self._trace_measure)

    def step(
        self, values: Tensors, x: Array, y: Array, *, learning_rate: float | None = None, pull: Tensors | None = None
    ) -> Step:
        """One step from these values, at the objective's learning rate where no other is given.

        Args:
            pull: what is added to the gradient of each parameter.
        """
        rate = self._own.objective.learning_rate if learning_rate is None else learning_rate
        pull = pull or {one.name: 0 * one.initial for one in self._own.parameters}
        loss, largest, sums, moved = self._moved(values, (x, y), rate, pull)
        slips = [_ROUNDING * largest * sign for sign in (1, -1)]
        slipped = [
            self._moved(values, (x, y), rate, {name: value + slip for name, value in pull.items()})[3] for slip in slips
        ]
        doubt = {
            name: np.maximum(*(np.abs(other[name].astype(np.float64) - value) for other in slipped))
            for name, value in moved.items()
        }
        return Step(loss, sums, moved, doubt)

    def _moved(
        self, values: Tensors, batch: tuple[Array, Array], rate: float, pull: Tensors
    ) -> tuple[float, float, dict[str, Array], dict[str, Array]]:
        self._assign(values)
        self._own.optimizer.learning_rate = rate
        pulls = [tf.constant(pull[one.name], tf.float32) for one in self._own.parameters]
        loss, largest, sums = self._step(tf.constant(batch[0]), tf.constant(batch[1]), pulls)
        moved = {one.name: np.asarray(one.read()) for one in self._own.kept}
        return float(loss), float(largest), _numbers(sums), moved

    def output(self, values: Tensors, x: Array) -> Array:
        """The model's output for a batch."""
        self._assign(values)
        return np.asarray(self._output(tf.constant(x)))

    def measure(self, values: Tensors, x: Array, y: Array) -> dict[str, Array]:
        """The sum over a batch of the loss and of every metric, as `evaluate` gives them."""
        self._assign(values)
        return _numbers(self._measure(tf.constant(x), tf.constant(y)))

    def _assign(self, values: Tensors) -> None:
        for one in self._own.kept:
            one.assign(values[one.name])

    def _trace_step(self, x: Any, y: Any, pulls: Any) -> Any:
        own = self._own
        variables = [one.variable.value for one in own.parameters]
        with tf.GradientTape() as tape:
            values = [tf.convert_to_tensor(one) for one in variables]
            with self._drawing():
                forward = own.model.apply(values, self._statistics, x, training=True)
            loss = self._loss(y, forward)
        sparse = tape.gradient(loss, variables, unconnected_gradients="zero")
        gradients = [tf.convert_to_tensor(one) + pull for one, pull in zip(sparse, pulls, strict=True)]
        largest = tf.reduce_max([tf.reduce_max(tf.abs(one)) for one in gradients])
        own.optimizer.apply(gradients, [one.variable for one in own.parameters])
        for one, value in zip(own.statistics, forward.statistics, strict=True):
            one.variable.assign(value)
        return loss, largest, self._sums(y, forward)

    def _trace_output(self, x: Any) -> Any:
        return self._inferred(x).outputs

    def _trace_measure(self, x: Any, y: Any) -> dict[str, Any]:
        return self._sums(y, self._inferred(x))

    def _loss(self, y: Any, forward: Forward) -> Any:
        loss = self._own.objective.loss(y, forward.outputs)
        return loss if forward.penalty is None else loss + forward.penalty

    def _sums(self, y: Any, forward: Forward) -> dict[str, Any]:
        sums = {LOSS: tf.cast(tf.shape(y)[0], tf.float32) * self._loss(y, forward)}
        for metric in self._own.objective.metrics:
            sums |= metric.sums_in_keras(y, forward.outputs)
        return sums

    def _inferred(self, x: Any) -> Forward:
        parameters = [tf.convert_to_tensor(one.variable.value) for one in self._own.parameters]
        return self._own.model.apply(parameters, self._statistics, x, training=False)

    @property
    def _statistics(self) -> list[Any]:
        return [tf.convert_to_tensor(one.variable.value) for one in self._own.statistics]

    def _drawing(self) -> Any:
        if self._own.seed is None:
            return nullcontext()
        step = tf.cast(tf.reshape(self._own.optimizer.iterations.value, [1]), tf.int32)
        return drawing(AS_ON_DEVICE, self._own.seed.read(), step)


def _numbers(sums: Mapping[str, Any]) -> dict[str, Array]:
    return {name: np.atleast_1d(value.numpy()).astype(np.float64) for name, value in sums.items()}


def _function(body: Callable[..., Any]) -> Any:
    """Traced anew for every size of a batch: what is drawn needs static shapes."""
    return tf.function(body, autograph=False)
