"""A Keras model to one TFLite file with the conventional signatures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from model_export import checked_model, objective
from model_export.convert import convert
from model_export.errors import SettingsError
from model_export.learner import Learner, make_learner
from model_export.objective import Objective
from model_export.progress import Progress, silent
from model_export.signatures import conventional
from model_export.verify import verify_conventional
from wire.tensors import Tensors


@dataclass(frozen=True)
class ExportedModel:
    """A model as a device takes it.

    Attributes:
        tflite: the file, with the signatures that `model_export.signatures` describes. Its learning rate is a constant:
            only a plan's `train_begin` can set it.
        parameters, statistics, slots: the names of what `save` gives, by group; each in layer order, which is sorted
            order. Only parameters and statistics ever cross the network.
        paths: Keras's path of each of them, by name.
        objective: the loss, the optimizer and the metrics.
    """

    tflite: bytes
    parameters: tuple[str, ...]
    paths: Mapping[str, str]
    objective: Objective
    statistics: tuple[str, ...] = ()
    slots: tuple[str, ...] = ()

    def finished(self, sums: Tensors) -> dict[str, float]:
        """The loss and every metric, from what `evaluate` gave, added up over any number of batches and devices."""
        return self.objective.finished(sums)


def export_model(
    model: Any,
    *,
    loss: Any = None,
    optimizer: Any = None,
    batch_size: int,
    metrics: Sequence[Any] = (),
    progress: Progress = silent,
) -> ExportedModel:
    """Export a Keras model as a TFLite file that trains with builtin ops only, verified against Keras.

    Args:
        model: a built Sequential or functional model; it is left as it is.
        loss, optimizer, metrics: as for `model.compile`, whose values are taken where these are None; see
            `model_export.objective.resolve`.
        batch_size: the fixed number of examples a step; a shorter batch is padded with examples of weight zero.

    Raises:
        ExportError: one of its kinds; nothing is exported in part.
    """
    learner = learner_of(model, loss, optimizer, batch_size, metrics)
    tflite = convert(conventional(learner), learner.variables, learner.model.layers, progress)
    progress("verify")
    verify_conventional(tflite, learner)
    return ExportedModel(
        tflite,
        parameters=tuple(one.name for one in learner.parameters),
        paths={one.name: one.path for one in learner.kept},
        objective=learner.objective,
        statistics=tuple(one.name for one in learner.statistics),
        slots=tuple(one.name for one in learner.slots),
    )


def learner_of(model: Any, loss: Any, optimizer: Any, batch_size: int, metrics: Sequence[Any]) -> Learner:
    """The learner that these arguments of an export mean.

    Raises:
        UnsupportedModelError: the model, loss, optimizer or a metric.
        SettingsError: the batch size.
    """
    if type(batch_size) is not int or batch_size < 1:
        raise SettingsError(f"batch_size must be an integer of at least 1, found {batch_size!r}")
    checked = checked_model.check(model)
    resolved = objective.resolve(
        model, checked.output, loss=loss, optimizer_given=optimizer, metrics_given=tuple(metrics)
    )
    return make_learner(checked, resolved, batch_size)
