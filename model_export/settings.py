"""The settings of an export from the command line or from another process: one frozen record, read once."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_export.errors import SettingsError
from wire import codec
from wire.errors import MessageError

DEFAULT_LEARNING_RATE = 0.05


@dataclass(frozen=True)
class Settings:
    """How to make a plan of a model file; the fields are those of `model_export.learning_plan`.

    Attributes:
        name: the plan's name; None for the model file's.
        loss: a name; None for the loss the model was compiled with.
        optimizer: a name, as "adam"; None for the model's own, or SGD where it is not compiled.
        learning_rate: None for the optimizer's own, and 0.05 for an SGD that is only named or not even that.
        proximal: FedProx's μ; None for no proximal term.
    """

    name: str | None = None
    loss: str | None = None
    optimizer: str | None = None
    learning_rate: float | None = None
    batch_size: int = 20
    epochs: int = 1
    metrics: tuple[str, ...] = ("accuracy",)
    server_learning_rate: float = 1.0
    proximal: float | None = None
    collection: str = "default"


def read(path: Path) -> Settings:
    """The settings that a JSON file holds.

    Raises:
        SettingsError: no such file, not JSON, an unknown setting, or one of the wrong type.
    """
    try:
        document = codec.parse(path.read_bytes())
        if isinstance(document, dict):
            _refuse_unknown(document)
        return codec.from_json(Settings, document)
    except OSError as error:
        raise SettingsError(f"the settings {path} cannot be read: {error.strerror}") from None
    except MessageError as error:
        raise SettingsError(f"the settings {path}: {error}") from None


def override(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """The settings with every change that is not None."""
    return dataclasses.replace(settings, **{name: value for name, value in changes.items() if value is not None})


def _refuse_unknown(document: Mapping[str, Any]) -> None:
    known = [field.name for field in dataclasses.fields(Settings)]
    if unknown := sorted(document.keys() - set(known)):
        raise SettingsError(f"unknown setting {unknown[0]!r}; the settings are {', '.join(known)}")
