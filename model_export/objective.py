"""What training minimises and how: the loss, the optimizer and the metrics, resolved from what Keras users write."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from model_export.errors import UnsupportedModelError

LOSS = "loss"
# name -> from_logits. The first two are Keras's own names and mean what they mean in `compile`.
_LOSS_NAMES: Mapping[str, bool] = MappingProxyType(
    {
        "sparse_categorical_crossentropy": False,
        "SparseCategoricalCrossentropy": False,
        "sparse_categorical_crossentropy_from_logits": True,
    }
)
_MEANS = frozenset({"sum_over_batch_size", "mean", "mean_with_sample_weight"})
_ONLY_LOSS = (
    "use keras.losses.SparseCategoricalCrossentropy, or the name sparse_categorical_crossentropy "
    "(sparse_categorical_crossentropy_from_logits for a model without a softmax)"
)
_ONLY_SGD = "use keras.optimizers.SGD(learning_rate), the optimizer that this version exports"
# What a plain SGD has in its configuration; anything else changes the step.
_PLAIN_SGD: Mapping[str, Any] = MappingProxyType(
    {
        "momentum": 0.0,
        "nesterov": False,
        "weight_decay": None,
        "clipnorm": None,
        "global_clipnorm": None,
        "clipvalue": None,
        "use_ema": False,
        "loss_scale_factor": None,
        "gradient_accumulation_steps": None,
    }
)


def _accuracy(labels: Any, outputs: Any) -> Any:
    """Keras's sparse categorical accuracy: 1 where the first largest output is the label's, else 0."""
    return tf.cast(tf.equal(tf.argmax(outputs, -1, output_type=labels.dtype), labels), tf.float32)


# name -> (labels [batch], outputs [batch, classes]) -> one value an example
METRICS: Mapping[str, Callable[[Any, Any], Any]] = MappingProxyType(
    {"accuracy": _accuracy, "sparse_categorical_accuracy": _accuracy}
)


@dataclass(frozen=True)
class Objective:
    """A loss, plain SGD's learning rate, and the names of metrics (keys of `METRICS`)."""

    loss: Any
    learning_rate: float
    metrics: tuple[str, ...]

    def losses(self, labels: Any, outputs: Any) -> Any:
        """The loss of every example [batch], computed by Keras's own code."""
        return self.loss.call(labels, outputs)

    @property
    def measured(self) -> tuple[str, ...]:
        """The loss and the metrics: everything that is summed over examples."""
        return (LOSS, *self.metrics)


def resolve(model: Any, loss: Any, optimizer: Any, metrics: Sequence[str]) -> Objective:
    """The objective that these arguments mean, as `model.compile` would take them.

    Args:
        loss: a Keras loss, its name, or None for the loss the model was compiled with. The name
            "sparse_categorical_crossentropy" means what it means in `compile`: that the model gives probabilities;
            "sparse_categorical_crossentropy_from_logits" is ours, for a command line that cannot write an object.
        optimizer: a `keras.optimizers.SGD`, "sgd", a learning rate, or None for the compiled optimizer.
        metrics: names, such as "accuracy".

    Raises:
        UnsupportedModelError: a loss, an optimizer or a metric that this version does not export.
    """
    unknown = [name for name in metrics if name not in METRICS]
    if unknown:
        raise UnsupportedModelError(f"metric {unknown[0]!r}", "it is not exported", f"use one of {', '.join(METRICS)}")
    resolved_loss = _resolve_loss(loss if loss is not None else getattr(model, "loss", None))
    learning_rate = _resolve_optimizer(optimizer if optimizer is not None else getattr(model, "optimizer", None))
    return Objective(resolved_loss, learning_rate, tuple(dict.fromkeys(metrics)))


def _resolve_loss(loss: Any) -> Any:
    if loss is None:
        raise UnsupportedModelError("the loss", "none was given and the model is not compiled", _ONLY_LOSS)
    if isinstance(loss, str) and loss in _LOSS_NAMES:
        return keras.losses.SparseCategoricalCrossentropy(from_logits=_LOSS_NAMES[loss])
    where = f"loss {getattr(loss, 'name', loss)!r}"
    if type(loss) is not keras.losses.SparseCategoricalCrossentropy:
        raise UnsupportedModelError(where, "it is not exported", _ONLY_LOSS)
    if loss.ignore_class is not None:
        raise UnsupportedModelError(where, "ignore_class is not exported", "give such examples the weight zero")
    if loss.reduction not in _MEANS:
        raise UnsupportedModelError(
            where, f"its reduction is {loss.reduction!r}", "use 'sum_over_batch_size', the mean"
        )
    return loss


def _resolve_optimizer(optimizer: Any) -> float:
    if optimizer is None:
        raise UnsupportedModelError("the optimizer", "none was given and the model is not compiled", _ONLY_SGD)
    if isinstance(optimizer, str):
        if optimizer.lower() != "sgd":
            raise UnsupportedModelError(f"optimizer {optimizer!r}", "it is not exported", _ONLY_SGD)
        optimizer = keras.optimizers.SGD()
    if isinstance(optimizer, int | float) and not isinstance(optimizer, bool):
        return _checked_rate(float(optimizer))
    where = f"optimizer {getattr(optimizer, 'name', optimizer)!r}"
    if type(optimizer) is not keras.optimizers.SGD:
        raise UnsupportedModelError(where, "it is not exported", _ONLY_SGD)
    configuration = optimizer.get_config()
    for setting, plain in _PLAIN_SGD.items():
        if configuration.get(setting, plain) != plain:
            raise UnsupportedModelError(where, f"{setting}={configuration[setting]!r} is not exported", _ONLY_SGD)
    if not isinstance(configuration["learning_rate"], int | float):
        raise UnsupportedModelError(where, "a learning-rate schedule is not exported", _ONLY_SGD)
    return _checked_rate(float(configuration["learning_rate"]))


def _checked_rate(learning_rate: float) -> float:
    if not np.isfinite(learning_rate) or learning_rate <= 0:
        raise UnsupportedModelError(f"learning rate {learning_rate}", "it is not positive", "give a positive number")
    return learning_rate
