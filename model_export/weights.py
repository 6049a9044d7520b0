"""Puts the values of a checkpoint into the Keras model that its plan was exported from."""

from pathlib import Path
from typing import Any

from model_export.errors import FileError, MissingTensorFlowError
from model_export.model_file import load
from model_export.program_files import read_bytes
from wire import tensors
from wire.errors import TensorFormatError

WEIGHTS_SUFFIX = ".weights.h5"


def write_weights(model_path: Path, checkpoint_path: Path, out: Path) -> None:
    """Write a `.keras` model, or a `.weights.h5` file, with the parameters and statistics of a checkpoint.

    Raises:
        ExportError: a file is not what it should be, or the checkpoint is not of this model.
    """
    try:
        from model_export import checked_model
    except ModuleNotFoundError as error:
        raise MissingTensorFlowError(str(error.name)) from None
    if not out.name.endswith((".keras", WEIGHTS_SUFFIX)):
        raise FileError(f"{out} must end with .keras or {WEIGHTS_SUFFIX}: Keras writes by the name")
    model = load(model_path)
    known = checked_model.check(model)
    try:
        state = tensors.decode(read_bytes(checkpoint_path))
    except TensorFormatError as error:
        raise FileError(f"{checkpoint_path} is no checkpoint: {error}") from None
    for one in (*known.parameters, *known.statistics):
        _assign(one, state, checkpoint_path)
    try:
        model.save_weights(out) if out.name.endswith(WEIGHTS_SUFFIX) else model.save(out)
    except OSError as error:
        raise FileError(f"{out} cannot be written: {error.strerror or error}") from None


def _assign(one: Any, state: tensors.Tensors, path: Path) -> None:
    value = state.get(one.name)
    if value is None or value.shape != tuple(one.value.shape):
        found = "nothing" if value is None else f"the shape {list(value.shape)}"
        raise FileError(
            f"{path} is not a checkpoint of this model: {one.path} has the shape {list(one.value.shape)}, found {found}"
        )
    one.original.assign(value)
