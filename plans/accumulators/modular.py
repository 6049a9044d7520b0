"""Sums modulo a number, of integers that are smaller than it."""

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np

from plans.manifest import Port
from wire.tensors import Array, Tensors


class ModularSum:
    """The running sums of some tensors, as uint64 arrays: two numbers below a modulus of 63 bits never overflow."""

    def __init__(self, ports: Mapping[str, Port], modulus: int) -> None:
        self._ports = ports
        self._modulus = np.uint64(modulus)
        self._sums = {name: np.zeros(port.spec.shape, np.uint64) for name, port in ports.items()}

    def accumulate(self, update: Tensors) -> None:
        """Add an update's tensors."""
        for name in self._sums:
            self._sums[name] += update[name].astype(np.uint64)
            self._sums[name] %= self._modulus

    def merge(self, other: Self) -> None:
        """Add the sums of other updates."""
        self.accumulate(other._sums)

    def held(self) -> list[Array]:
        """The sums."""
        return list(self._sums.values())

    def hold(self, arrays: Sequence[Array]) -> None:
        """Hold the sums of another."""
        self._sums = dict(zip(self._sums, arrays, strict=True))

    def finalize(self) -> dict[str, Array]:
        """The sums in the tensors' own dtypes, which hold all numbers below the modulus."""
        return {name: sums.astype(self._ports[name].spec.dtype) for name, sums in self._sums.items()}
