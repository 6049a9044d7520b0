"""Reads a `.keras` file without running what it may bring along, and makes a plan of it."""

import zipfile
from pathlib import Path
from typing import Any

from model_export.errors import MissingTensorFlowError, ModelFileError
from model_export.progress import Progress
from model_export.settings import DEFAULT_LEARNING_RATE, Settings
from plans.bundle import Plan


def plan_of_file(path: Path, settings: Settings, progress: Progress) -> Plan:
    """The learning plan of a model file.

    Raises:
        ExportError: one of its kinds.
    """
    try:
        from model_export.learning import learning_plan
    except ModuleNotFoundError as error:
        raise MissingTensorFlowError(str(error.name)) from None
    progress("load")
    model = load(path)
    return learning_plan(
        model,
        name=settings.name or path.stem,
        loss=settings.loss,
        optimizer=optimizer_of(model, settings),
        batch_size=settings.batch_size,
        epochs=settings.epochs,
        metrics=settings.metrics,
        server_learning_rate=settings.server_learning_rate,
        proximal=settings.proximal,
        collection=settings.collection,
        progress=progress,
    )


def load(path: Path) -> Any:
    """The model of a `.keras` file, which must not bring code of its own.

    Raises:
        ModelFileError: no such file, not a Keras model, or not a safe one.
    """
    import keras

    if not path.is_file():
        raise ModelFileError(f"{path} is not a Keras model: there is no such file")
    if path.suffix == ".keras" and not zipfile.is_zipfile(path):
        raise ModelFileError(f"{path} is not a Keras file: it is no zip archive, whatever its name says")
    try:
        return keras.models.load_model(path, safe_mode=True)
    except Exception as error:  # Keras raises what its readers raise
        reason = str(error).strip().partition("\n")[0]
        raise ModelFileError(f"{path} is not a Keras model that can be loaded safely: {reason}") from error


def optimizer_of(model: Any, settings: Settings) -> Any:
    """The named optimizer, else the compiled one, else SGD; at the set learning rate if there is one."""
    from model_export.optimizer import with_rate

    compiled = getattr(model, "optimizer", None)
    chosen = settings.optimizer or compiled
    if chosen is None or (settings.optimizer == "sgd" and settings.learning_rate is None):
        return DEFAULT_LEARNING_RATE if settings.learning_rate is None else settings.learning_rate
    return chosen if settings.learning_rate is None else with_rate(chosen, settings.learning_rate)
