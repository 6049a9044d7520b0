"""The smallest or the largest of every element, which no order changes.

Of nobody, they are what leaves every other value as it is: the dtype's largest for a minimum, its smallest for a
maximum, as in TensorFlow Federated.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from plans.finiteness import of_nobody
from plans.manifest import Kind, Port
from wire.tensors import Array, Tensors


class Extremes:
    """The running minimum or maximum of some tensors."""

    def __init__(self, ports: Mapping[str, Port], kind: Kind) -> None:
        self._choose: Any = np.minimum if kind is Kind.MIN else np.maximum
        self._values = {
            name: np.full(port.spec.shape, of_nobody(port.spec.dtype, kind), port.spec.dtype)
            for name, port in ports.items()
        }

    def accumulate(self, update: Tensors) -> None:
        """Compare an update's tensors with those before."""
        for name, values in self._values.items():
            # Adding zero makes -0.0 the 0.0 that it equals; otherwise the first of the two would win.
            self._choose(values, update[name] + update[name].dtype.type(0), out=values)

    def merge(self, other: Self) -> None:
        """Compare with the extremes of other updates."""
        self.accumulate(other._values)

    def held(self) -> list[Array]:
        """The extremes so far."""
        return list(self._values.values())

    def hold(self, arrays: Sequence[Array]) -> None:
        """Hold the extremes of another."""
        self._values = dict(zip(self._values, arrays, strict=True))

    def finalize(self) -> dict[str, Array]:
        """The extremes."""
        return {name: values.copy() for name, values in self._values.items()}
