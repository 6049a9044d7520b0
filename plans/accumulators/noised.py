"""Sums that are noised once, as integers, before anybody reads them.

A value v counts as ⌊|v| × 2^fraction_bits⌋ with its sign: cut off rather than rounded, so that on the grid no client is
longer than it was. To the sum of these integers one number of the discrete Gaussian distribution is added for each
element; only then it becomes floats (docs/decisions/0028-noise-is-an-integer.md).
"""

import math
from collections.abc import Mapping
from typing import Self

import numpy as np

from plans.accumulators.fixed_point import from_fixed_point
from plans.discrete_gaussian import LARGEST_STDDEV, Entropy, discrete_gaussian
from plans.errors import NoiseError
from plans.manifest import Port
from wire.tensors import Array, Tensors


class NoisedSum:
    """The running sums of some tensors, as int64 arrays; see the module's description.

    Args:
        stddev: of the noise, in the unit of the values.

    Raises:
        NoiseError: there is no such noise.
    """

    def __init__(self, ports: Mapping[str, Port], fraction_bits: int, stddev: float, entropy: Entropy) -> None:
        largest = LARGEST_STDDEV / 2.0**fraction_bits
        if not 0 <= stddev <= largest:
            raise NoiseError(f"the standard deviation of noise is from 0 to {largest:g}, found {stddev}")
        self._ports = ports
        self._fraction_bits = fraction_bits
        self._stddev = stddev
        self._entropy = entropy
        self._sums = {name: np.zeros(port.spec.shape, np.int64) for name, port in ports.items()}
        self._is_noised = False

    def accumulate(self, update: Tensors) -> None:
        """Add an update's tensors."""
        for name in self._sums:
            self._sums[name] += cut_off(update[name], self._fraction_bits)

    def merge(self, other: Self) -> None:
        """Add the sums of other updates, which nobody has read yet."""
        for name in self._sums:
            self._sums[name] += other._sums[name]

    def finalize(self) -> dict[str, Array]:
        """The sums with their noise, which is drawn once: they are the same when they are read again."""
        if not self._is_noised:
            for name, sums in self._sums.items():
                noise = discrete_gaussian(math.ldexp(self._stddev, self._fraction_bits), sums.size, self._entropy)
                self._sums[name] = sums + noise.reshape(sums.shape)
            self._is_noised = True
        return {
            name: from_fixed_point(name, sums, self._fraction_bits, self._ports[name].spec.dtype)
            for name, sums in self._sums.items()
        }


def cut_off(values: Array, fraction_bits: int) -> Array:
    """The integers that floats count as."""
    return np.asarray(np.trunc(values.astype(np.float64) * 2.0**fraction_bits).astype(np.int64))
