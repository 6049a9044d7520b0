"""What training minimises and how: the loss, the optimizer and the metrics, resolved from what Keras users write."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from model_export import losses, metrics, optimizer
from model_export.errors import UnsupportedModelError
from model_export.losses import Labels
from model_export.metrics import Metric
from wire.tensors import Tensors, TensorSpec

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
        """The names of everything that is summed over examples: the loss, and what the metrics add up."""
        return (LOSS, *(name for metric in self.metrics for name in metric.measured))

    def values(self, labels: Any, outputs: Any) -> dict[str, Any]:
        """What every example adds to all that is measured: [batch], or [batch, buckets].

        Raises:
            UnsupportedModelError: a loss or metric does not have one value an example.
        """
        loss = metrics.per_example(LOSS, losses.values_of(self.loss, labels, outputs), outputs.shape[0])
        return {LOSS: loss} | {
            name: values for metric in self.metrics for name, values in metric.values(labels, outputs).items()
        }

    def finished(self, outputs: Tensors) -> dict[str, float]:
        """The loss and the metrics, from the outputs of `evaluate` added up over all batches and devices."""
        count = float(outputs[f"{LOSS}_count"].item())
        sums = {name: outputs[f"{name}_sum"] for name in self.measured}
        return {LOSS: float(sums[LOSS].item()) / count} | {one.name: one.finished(sums, count) for one in self.metrics}


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
    if labels is Labels.CLASSES and output.shape[-1] == 1:
        raise UnsupportedModelError(
            f"loss {resolved_loss.name!r}",
            "its labels are numbers of classes, but the model has one output, so that 0 is the only label",
            "give the last layer a unit a class, or use a binary cross-entropy",
        )
    label = labels.spec(output)
    measured = {metric.name: metric for metric in (metrics.resolve(one, label, output) for one in metrics_given)}
    return Objective(resolved_loss, optimizer.resolve(given), tuple(measured.values()), label, labels)
