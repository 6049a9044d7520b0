"""The optimizer of a training step: any of Keras's that moves weights by a formula, and ours in `optimizers`.

Keras's own code computes the step. It is traced on variables of the file, so that an exported step is Keras's step by
construction, slots and clipping and weight decay included, and there is no second set of formulas to keep equal.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
from keras.src.backend.common import global_state

from model_export.errors import UnsupportedModelError
from model_export.optimizers import Yogi

_NUMBERS = "object_name_uids"  # where Keras counts the names it makes up
_NAMES = "sgd, adam, adamw, adagrad, rmsprop, yogi"
_GIVE_ONE = f"use a Keras optimizer, or one of the names {_NAMES}"
# What would change more than the step of one batch.
_PLAIN: Mapping[str, Any] = MappingProxyType(
    {"use_ema": False, "loss_scale_factor": None, "gradient_accumulation_steps": None}
)
_REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "Adafactor": "its slots depend on the rank of each weight",
        "LossScaleOptimizer": "it scales losses for half precision",
        "Muon": "it picks its formula by the names of layers",
    }
)


def resolve(optimizer: Any) -> Any:
    """The Keras optimizer that this means: itself, a name, a learning rate of SGD.

    Raises:
        UnsupportedModelError: none, or one that is not exported.
    """
    if optimizer is None:
        raise UnsupportedModelError("the optimizer", "none was given and the model is not compiled", _GIVE_ONE)
    if isinstance(optimizer, str):
        optimizer = _named(optimizer)
    if isinstance(optimizer, int | float) and not isinstance(optimizer, bool):
        optimizer = keras.optimizers.SGD(_checked_rate(float(optimizer)))
    where = f"optimizer {getattr(optimizer, 'name', optimizer)!r}"
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise UnsupportedModelError(where, "it is not a Keras optimizer", _GIVE_ONE)
    if (reason := _REFUSED.get(type(optimizer).__name__)) is not None:
        raise UnsupportedModelError(where, f"it is not exported: {reason}", _GIVE_ONE)
    configuration = optimizer.get_config()
    for setting, plain in _PLAIN.items():
        if configuration.get(setting, plain) not in (plain, None):
            raise UnsupportedModelError(where, f"{setting}={configuration[setting]!r} is not exported", "leave it out")
    rate_of(optimizer)
    return optimizer


def with_rate(optimizer: Any, learning_rate: float) -> Any:
    """The Keras optimizer that this means, as `resolve`, at another learning rate."""
    resolved = resolve(optimizer)
    return type(resolved).from_config(resolved.get_config() | {"learning_rate": _checked_rate(learning_rate)})


def rate_of(optimizer: Any) -> float:
    """The learning rate, which is a number; devices get theirs from the server, so a schedule has no meaning there."""
    rate = optimizer.get_config()["learning_rate"]
    if isinstance(rate, bool) or not isinstance(rate, int | float | np.floating):
        where = f"optimizer {optimizer.name!r}"
        raise UnsupportedModelError(where, "a learning-rate schedule is not exported", "give a number")
    return _checked_rate(float(rate))


def copy(optimizer: Any, variables: Sequence[Any], originals: Sequence[Any]) -> Any:
    """The same optimizer, fresh, for other variables than the original ones."""
    # With one name, and slots numbered from the start, the same model makes the same file.
    made = type(optimizer).from_config(optimizer.get_config() | {"name": "optimizer"})
    kept = [one for one, original in zip(variables, originals, strict=True) if not _decays(optimizer, original)]
    if kept:
        made.exclude_from_weight_decay(var_list=kept)
    with _numbering_anew():
        made.build(list(variables))
    return made


@contextmanager
def _numbering_anew() -> Iterator[None]:
    """Inside, what Keras gives no name is `variable`, `variable_1`, …, whatever was made before."""
    numbers = global_state.get_global_attribute(_NUMBERS)
    global_state.set_global_attribute(_NUMBERS, defaultdict(int))
    try:
        yield
    finally:
        global_state.set_global_attribute(_NUMBERS, numbers)


def slots_of(optimizer: Any) -> list[Any]:
    """What a built optimizer remembers from step to step, its step counter first; nothing for plain SGD."""
    iteration, _, *slots = optimizer.variables
    return [iteration, *slots] if slots else []


def _decays(optimizer: Any, variable: Any) -> bool:
    """Whether weight decay applies to a variable, by what the user excluded."""
    return bool(optimizer._use_weight_decay(variable))


def _named(name: str) -> Any:
    if name.lower() == "yogi":
        return Yogi()
    try:
        return keras.optimizers.get(name)
    except ValueError:
        raise UnsupportedModelError(f"optimizer {name!r}", "there is none of that name", _GIVE_ONE) from None


def _checked_rate(learning_rate: float) -> float:
    if not np.isfinite(learning_rate) or learning_rate <= 0:
        raise UnsupportedModelError(f"learning rate {learning_rate}", "it is not positive", "give a positive number")
    return learning_rate
