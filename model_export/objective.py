"""What training minimises and how: the loss, the optimizer and the metrics, resolved from what Keras users write."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from model_export import losses, metrics, optimizer
from model_export.errors import UnsupportedModelError
from model_export.losses import Labels
from model_export.metrics import Metric
from wire.tensors import TensorSpec

LOSS = "loss"


@dataclass(frozen=True)
class Objective:
    """A Keras loss and optimizer, and metrics.

    Attributes:
        label: the spec of one example's label.
        labels: what the labels hold.
    """

    loss: Any
    optimizer: Any
    metrics: tuple[Metric, ...]
    label: TensorSpec
    labels: Labels

    @property
    def learning_rate(self) -> float:
        """The optimizer's learning rate."""
        return optimizer.rate_of(self.optimizer)

    @property
    def measured(self) -> tuple[str, ...]:
        """The names of the loss and the metrics: everything that is summed over examples."""
        return (LOSS, *(metric.name for metric in self.metrics))

    def values(self, labels: Any, outputs: Any) -> dict[str, Any]:
        """The loss and every metric of every example [batch]: means over all but the first axis, as Keras's are.

        Raises:
            UnsupportedModelError: a loss or metric does not have one value an example.
        """
        found = {LOSS: losses.values_of(self.loss, labels, outputs)}
        found |= {metric.name: metric.values(labels, outputs) for metric in self.metrics}
        return {name: _per_example(name, values, outputs.shape[0]) for name, values in found.items()}


def resolve(
    compiled: Any, output: TensorSpec, *, loss: Any, optimizer_given: Any, metrics_given: Sequence[Any]
) -> Objective:
    """The objective that these arguments mean, as `model.compile` would take them.

    Args:
        compiled: the Keras model, whose compiled loss and optimizer are taken where none are given.
        output: the spec of one example's output.
        loss: see `losses.resolve`. The name "sparse_categorical_crossentropy" means what it means in `compile`: that
            the model gives probabilities; "sparse_categorical_crossentropy_from_logits" is ours, for a command line
            that cannot write an object.
        optimizer_given: see `optimizer.resolve`.
        metrics_given: see `metrics.resolve`.

    Raises:
        UnsupportedModelError: a loss, an optimizer or a metric that is not exported.
    """
    resolved_loss = losses.resolve(loss if loss is not None else getattr(compiled, "loss", None))
    given = optimizer_given if optimizer_given is not None else getattr(compiled, "optimizer", None)
    labels = losses.labels_of(resolved_loss)
    label = labels.spec(output)
    measured = {metric.name: metric for metric in (metrics.resolve(one, label, output) for one in metrics_given)}
    return Objective(resolved_loss, optimizer.resolve(given), tuple(measured.values()), label, labels)


def _per_example(name: str, values: Any, batch_size: int) -> Any:
    if not values.shape.rank or values.shape[0] != batch_size:
        raise UnsupportedModelError(
            f"the {name}", f"it has the shape {values.shape} for a batch of {batch_size}", "give one value an example"
        )
    values = tf.cast(values, tf.float32)
    return tf.reduce_mean(values, list(range(1, values.shape.rank))) if values.shape.rank > 1 else values
