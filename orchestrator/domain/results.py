"""How a result looks in a JSON document."""

import math
from typing import Any

import numpy as np

from plans.manifest import Work
from wire.tensors import Array, Tensors

MOST_ELEMENTS = 10_000


def shown(work: Work, given: Tensors) -> dict[str, Any] | None:
    """Each tensor of a result by its path, or by its name where it has none; None for too many elements."""
    if sum(values.size for values in given.values()) > MOST_ELEMENTS:
        return None
    return {tensor.path or name: as_json(given[name]) for name, tensor in work.result.items()}


def as_json(values: Array) -> Any:
    """A number or nested lists; the shortest that its dtype reads back, and words for what JSON has no number for."""
    if values.dtype.kind != "f":
        return values.tolist()
    words = np.empty(values.size, object)
    words[:] = [_word(value) for value in values.ravel()]
    return words.reshape(values.shape).tolist()


def _word(value: np.floating[Any]) -> float | str:
    if math.isfinite(value):
        return float(str(value))
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
