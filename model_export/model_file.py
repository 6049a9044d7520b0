"""Reads a `.keras` file without running what it may bring along, and makes a plan of it."""

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
    model = _load(path)
    return learning_plan(
        model,
        name=settings.name or path.stem,
        loss=settings.loss,
        optimizer=_optimizer(model, settings),
        batch_size=settings.batch_size,
        epochs=settings.epochs,
        metrics=settings.metrics,
        server_learning_rate=settings.server_learning_rate,
        collection=settings.collection,
        progress=progress,
    )


def _load(path: Path) -> Any:
    import keras

    try:
        return keras.models.load_model(path, safe_mode=True)
    except Exception as error:  # Keras raises what its readers raise
        reason = str(error).strip().partition("\n")[0]
        raise ModelFileError(f"{path} is not a Keras model that can be loaded safely: {reason}") from error


def _optimizer(model: Any, settings: Settings) -> Any:
    """The named optimizer with the set rate, else the compiled one, else plain SGD."""
    if settings.optimizer is not None and settings.optimizer.lower() != "sgd":
        return settings.optimizer  # refused by name where objectives are resolved
    if settings.learning_rate is not None:
        return settings.learning_rate
    if settings.optimizer is None and getattr(model, "optimizer", None) is not None:
        return model.optimizer
    return DEFAULT_LEARNING_RATE
