"""A Keras model to one TFLite file with the conventional signatures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from model_export import checked_model, objective
from model_export.convert import convert
from model_export.errors import SettingsError
from model_export.learner import Learner, make_learner
from model_export.progress import Progress, silent
from model_export.signatures import conventional
from model_export.verify import verify_conventional


@dataclass(frozen=True)
class ExportedModel:
    """A model as a device takes it.

    Attributes:
        tflite: the file, with the signatures that `model_export.signatures` describes. Its learning rate is a constant:
            only a plan's `train_begin` can set it.
        parameters: the names of the parameters, in layer order, which is sorted order.
        paths: Keras's path of each parameter, by name.
    """

    tflite: bytes
    parameters: tuple[str, ...]
    paths: Mapping[str, str]


def export_model(
    model: Any,
    *,
    loss: Any = None,
    optimizer: Any = None,
    batch_size: int,
    metrics: Sequence[str] = (),
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
    variables = [*learner.parameters, learner.learning_rate]
    tflite = convert(conventional(learner), variables, learner.model.layers, progress)
    progress("verify")
    verify_conventional(tflite, learner)
    paths = {parameter.name: parameter.path for parameter in learner.model.parameters}
    return ExportedModel(tflite, learner.names, paths)


def learner_of(model: Any, loss: Any, optimizer: Any, batch_size: int, metrics: Sequence[str]) -> Learner:
    """The learner that these arguments of an export mean.

    Raises:
        UnsupportedModelError: the model, loss, optimizer or a metric.
        SettingsError: the batch size.
    """
    if type(batch_size) is not int or batch_size < 1:
        raise SettingsError(f"batch_size must be an integer of at least 1, found {batch_size!r}")
    return make_learner(checked_model.check(model), objective.resolve(model, loss, optimizer, metrics), batch_size)
