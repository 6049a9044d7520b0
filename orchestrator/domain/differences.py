"""How far two server states are from each other, tensor by tensor, in float64."""

import numpy as np

from wire.registry_messages import TensorDifference
from wire.tensors import Array, Tensors


def between(one: Tensors, other: Tensors) -> tuple[TensorDifference, ...]:
    """The difference of every tensor of two states of the same names and shapes."""
    return tuple(_of(name, one[name], other[name]) for name in sorted(one))


def _of(name: str, one: Array, other: Array) -> TensorDifference:
    first, second = one.astype(np.float64).ravel(), other.astype(np.float64).ravel()
    difference = second - first
    return TensorDifference(
        name=name,
        dtype=str(one.dtype),
        shape=one.shape,
        norm=float(np.linalg.norm(first)),
        other_norm=float(np.linalg.norm(second)),
        difference_norm=float(np.linalg.norm(difference)),
        largest_difference=float(np.max(np.abs(difference), initial=0.0)),
    )
