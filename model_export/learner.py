"""One model, its objective and the variables they share across signatures; what a step computes.

With w_b the weight of example b (0 for padding), l_b its loss and R what the weights' regularisers add, training
minimises

    L = Σ_b w_b l_b / Σ_b w_b + R        (the first term is 0 where all weights are 0)

With weights of 0 and 1 this is Keras's mean over a batch without its padding. Examples of weight zero are replaced by
the first example, so that padding of any finite value cannot overflow into the others.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from model_export import optimizer as optimizers
from model_export.batch_moments import masked_moments
from model_export.checked_model import CheckedModel, Forward
from model_export.drawing import LOWERED_LATER, drawing
from model_export.file_variables import FileVariable, assign_all, file_variable
from model_export.names import slot_names
from model_export.objective import LOSS, Objective
from wire.tensors import TensorSpec

SCALAR = TensorSpec("float32", (1,))  # how a signature takes and gives a scalar
SEED = "seed"

# The gradient that an algorithm adds to the loss's own, for every parameter, from the parameters' values.
Pull = Callable[[Sequence[Any]], Sequence[Any]]


@dataclass(frozen=True)
class Measurement:
    """Σ w and, for the loss and every metric, Σ w · value over the examples of a batch.

    All are of the shape [1], but for the [buckets] of a histogram.

    The loss's sum holds R · Σ w as well, so that its mean is Keras's loss with the penalties, as Keras reports it.
    """

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
        parameters, statistics, slots: the variables of the file, by group. A step reads and moves them all.
        seed: the slot that random layers draw from; None if there are none.
        optimizer: a Keras optimizer of the parameters.
    """

    model: CheckedModel
    objective: Objective
    batch_size: int
    parameters: tuple[FileVariable, ...]
    statistics: tuple[FileVariable, ...]
    slots: tuple[FileVariable, ...]
    seed: FileVariable | None
    optimizer: Any

    @property
    def exchanged(self) -> tuple[FileVariable, ...]:
        """What crosses the network: parameters and statistics."""
        return self.parameters + self.statistics

    @property
    def kept(self) -> tuple[FileVariable, ...]:
        """What the conventional file saves and restores: everything that a step depends on."""
        return self.exchanged + self.slots

    @property
    def variables(self) -> list[Any]:
        """Every variable behind the learner, as TensorFlow's."""
        keras_variables = [*(one.variable for one in self.kept), *self.optimizer.variables]
        return list({id(one): one.value for one in keras_variables}.values())

    @property
    def batch(self) -> dict[str, TensorSpec]:
        """What a step takes: examples, labels and weights."""
        example, label = self.model.example, self.objective.label
        return {
            "x": TensorSpec(example.dtype, (self.batch_size, *example.shape)),
            "y": TensorSpec(label.dtype, (self.batch_size, *label.shape)),
            "weight": TensorSpec("float32", (self.batch_size,)),
        }

    def infer(self, x: Any) -> Any:
        """The model's output for a batch."""
        return self._inferred(x).outputs

    def evaluate(self, x: Any, y: Any, weight: Any) -> Measurement:
        """Measure a batch with the variables as they are."""
        return self._measure(self._inferred(_without_padding(x, weight)), y, weight)

    def train(self, x: Any, y: Any, weight: Any, pull: Pull | None = None) -> Measurement:
        """Take one step of the optimizer along −∂L/∂θ; the measurement is of the parameters before it."""
        variables = [one.variable.value for one in self.parameters]
        with tf.GradientTape() as tape:
            values = [tf.convert_to_tensor(one) for one in variables]
            with self._training(weight):
                forward = self.model.apply(values, _values(self.statistics), _without_padding(x, weight), training=True)
            measurement = self._measure(forward, y, weight)
            loss = measurement.mean_loss
        sparse = tape.gradient(loss, variables, unconnected_gradients="zero")
        gradients = [tf.convert_to_tensor(one) for one in sparse]  # an embedding's is sparse
        if pull is not None:
            gradients = [one + more for one, more in zip(gradients, pull(values), strict=True)]
        self.optimizer.apply(gradients, [one.variable for one in self.parameters])
        for statistic, value in zip(self.statistics, forward.statistics, strict=True):
            statistic.variable.assign(value)
        return measurement

    def start(self, values: Mapping[str, Any]) -> None:
        """Begin training anew from exchanged values, and a seed if there is one: every slot at its initial value."""
        assign_all(self.exchanged, values)
        for slot in self.slots:
            slot.reset()
        if self.seed is not None:
            self.seed.assign(values[SEED])

    @property
    def seed_specs(self) -> dict[str, TensorSpec]:
        """What `start` takes besides exchanged values."""
        return {} if self.seed is None else {SEED: self.seed.spec}

    def _inferred(self, x: Any) -> Forward:
        return self.model.apply(_values(self.parameters), _values(self.statistics), x, training=False)

    @contextmanager
    def _training(self, weight: Any) -> Iterator[None]:
        with ExitStack() as stack:
            stack.enter_context(masked_moments(weight))
            if self.seed is not None:
                step = tf.cast(tf.reshape(self.optimizer.iterations.value, [1]), tf.int32)
                stack.enter_context(drawing(LOWERED_LATER, self.seed.read(), step))
            yield

    def _measure(self, forward: Forward, y: Any, weight: Any) -> Measurement:
        values = self.objective.values(_without_padding(y, weight), forward.outputs)
        total = _total(weight)
        sums = {name: _weighted_sum(weight, value) for name, value in values.items()}
        if forward.penalty is not None:
            sums[LOSS] += forward.penalty * total
        return Measurement(total, sums)


def make_learner(model: CheckedModel, objective: Objective, batch_size: int) -> Learner:
    """A learner with variables of its own, so that the Keras model stays as it is."""
    parameters = tuple(file_variable(one.name, one.path, one.value) for one in model.parameters)
    statistics = tuple(file_variable(one.name, one.path, one.value) for one in model.statistics)
    originals = [one.original for one in model.parameters]
    optimizer = optimizers.copy(objective.optimizer, [one.variable for one in parameters], originals)
    seed = keras.Variable(np.zeros([1], np.int32), dtype="int32", name=SEED) if model.draws else None
    slots = _slots(optimizer, seed)
    return Learner(
        model, objective, batch_size, parameters, statistics, slots, None if seed is None else slots[1], optimizer
    )


def _slots(optimizer: Any, seed: Any) -> tuple[FileVariable, ...]:
    """The optimizer's slots, its step counter first; with random layers their seed second, and the counter always."""
    found = optimizers.slots_of(optimizer)
    if seed is not None:
        found = [optimizer.iterations, seed, *found[1:]]
    names = slot_names([variable.path for variable in found])
    return tuple(
        FileVariable(name, variable.path, variable, np.asarray(variable.value.numpy()))
        for name, variable in zip(names, found, strict=True)
    )


def nonzero(total: Any) -> Any:
    """A sum of weights [1] as a divisor: itself, or 1 where it is 0."""
    return total + (1.0 - tf.sign(total))


def _values(variables: Sequence[FileVariable]) -> list[Any]:
    return [tf.convert_to_tensor(one.variable.value) for one in variables]


def _total(values: Any) -> Any:
    return tf.reduce_sum(values, keepdims=True)


def _weighted_sum(weight: Any, values: Any) -> Any:
    """Σ w · value: [1] of one value an example, [buckets] of many."""
    if values.shape.rank == 1:
        return _total(weight * values)
    return tf.reduce_sum(tf.reshape(weight, [-1, 1]) * values, 0)


def _without_padding(values: Any, weight: Any) -> Any:
    """The examples, or labels, with the first one in the place of those of weight zero; zeros if it is one of them.

    A copy of an example is harmless wherever the example is; zeros need not be, as in a normalised vector. Integers
    cannot overflow and stay as they are.
    """
    if not values.dtype.is_floating:
        return values
    present = tf.reshape(tf.sign(weight), [-1] + [1] * (values.shape.rank - 1))
    first = values[:1] * present[:1]
    return values * present + first * (1.0 - present)
