"""One model, its objective and the variables they share across signatures; what a step computes.

With w_b the weight of example b (0 for padding) and l_b its loss, training minimises the weighted mean

    L = Σ_b w_b l_b / Σ_b w_b        (0 where all weights are 0)

With weights of 0 and 1 this is Keras's mean over a batch without its padding. The inputs of examples of weight zero are
replaced by zeros first, so that padding of any finite value cannot overflow into the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from model_export.checked_model import CheckedModel
from model_export.objective import LOSS, METRICS, Objective
from wire.tensors import TensorSpec

SCALAR = TensorSpec("float32", (1,))  # how a signature takes and gives a scalar


@dataclass(frozen=True)
class Measurement:
    """Σ w and, for the loss and every metric, Σ w · value over the examples of a batch; all of shape [1]."""

    weight: Any
    sums: Mapping[str, Any]

    @property
    def mean_loss(self) -> Any:
        """The loss that training minimises; 0 where all weights are 0."""
        return self.sums[LOSS] / nonzero(self.weight)


@dataclass(frozen=True)
class Learner:
    """A model with its variables, ready to be traced.

    Attributes:
        parameters: a `tf.Variable` for each of `model.parameters`.
        learning_rate: η, shape [1].
    """

    model: CheckedModel
    objective: Objective
    batch_size: int
    parameters: tuple[Any, ...]
    learning_rate: Any

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters' names."""
        return tuple(parameter.name for parameter in self.model.parameters)

    @property
    def parameter_specs(self) -> dict[str, TensorSpec]:
        """The parameters' specs, by name."""
        return {parameter.name: parameter.spec for parameter in self.model.parameters}

    @property
    def batch(self) -> dict[str, TensorSpec]:
        """What a step takes: examples, labels and weights."""
        example = self.model.example
        return {
            "x": TensorSpec(example.dtype, (self.batch_size, *example.shape)),
            "y": TensorSpec("int32", (self.batch_size,)),
            "weight": TensorSpec("float32", (self.batch_size,)),
        }

    def infer(self, x: Any) -> Any:
        """The model's output for a batch."""
        return self.model.apply([tf.convert_to_tensor(one) for one in self.parameters], x, training=False)

    def evaluate(self, x: Any, y: Any, weight: Any) -> Measurement:
        """Measure a batch with the parameters as they are."""
        return self._measure(self.infer(_without_padding(x, weight)), y, weight)

    def train(self, x: Any, y: Any, weight: Any) -> Measurement:
        """Take one step θ ← θ − η ∂L/∂θ; the measurement is of the parameters before it."""
        with tf.GradientTape() as tape:
            values = [tf.convert_to_tensor(one) for one in self.parameters]
            outputs = self.model.apply(values, _without_padding(x, weight), training=True)
            measurement = self._measure(outputs, y, weight)
            loss = measurement.mean_loss
        gradients = tape.gradient(loss, list(self.parameters), unconnected_gradients="zero")
        for variable, gradient in zip(self.parameters, gradients, strict=True):
            variable.assign_sub(self.learning_rate * tf.convert_to_tensor(gradient))  # an embedding's is sparse
        return measurement

    def _measure(self, outputs: Any, y: Any, weight: Any) -> Measurement:
        sums = {LOSS: _total(weight * self.objective.losses(y, outputs))}
        for name in self.objective.metrics:
            sums[name] = _total(weight * METRICS[name](y, outputs))
        return Measurement(_total(weight), sums)


def make_learner(model: CheckedModel, objective: Objective, batch_size: int) -> Learner:
    """A learner with variables of its own, so that the Keras model stays as it is."""
    parameters = tuple(tf.Variable(parameter.value, name=parameter.name) for parameter in model.parameters)
    learning_rate = tf.Variable(np.array([objective.learning_rate], np.float32), name="learning_rate")
    return Learner(model, objective, batch_size, parameters, learning_rate)


def nonzero(total: Any) -> Any:
    """A sum of weights [1] as a divisor: itself, or 1 where it is 0."""
    return total + (1.0 - tf.sign(total))


def _total(values: Any) -> Any:
    return tf.reduce_sum(values, keepdims=True)


def _without_padding(x: Any, weight: Any) -> Any:
    """x with zeros for the examples of weight zero; integers cannot overflow and stay as they are."""
    if not x.dtype.is_floating:
        return x
    return x * tf.reshape(tf.sign(weight), [-1] + [1] * (x.shape.rank - 1))
