"""Sums that are noised once, as integers, before anybody reads them.

A value v counts as ⌊|v| × 2^fraction_bits⌋ with its sign: cut off rather than rounded, so that on the grid no client is
longer than it was. To the sum of these integers one number of the discrete Gaussian distribution is added for each
element; only then it becomes floats (docs/decisions/0027-noise-is-an-integer.md). Correlated noise takes some that was
added in an earlier round away again, as integers too, and gives what it drew to whoever is to remember it.
"""

import math
from collections.abc import Mapping

import numpy as np

from plans.accumulators.fixed_point import FixedPointSum, from_fixed_point
from plans.discrete_gaussian import LARGEST_STDDEV, Entropy, discrete_gaussian
from plans.errors import NoiseError
from plans.manifest import Port, Step
from wire.tensors import Array, Tensors

_LARGEST_EARLIER = 1 << 61  # half of the room that a noise has


class NoisedSum(FixedPointSum):
    """The running sums of some tensors, held and merged without their noise; see the module's description.

    Args:
        known: the server's tensors; the noise's size may be one, and what it takes away is.

    Raises:
        NoiseError: there is no such noise.
    """

    def __init__(
        self, ports: Mapping[str, Port], fraction_bits: int, noise: Step, known: Tensors, entropy: Entropy
    ) -> None:
        named = noise.parameters["stddev"]
        stddev = float(known[named] if isinstance(named, str) else named)
        largest = LARGEST_STDDEV / 2.0**fraction_bits
        if not 0 <= stddev <= largest:
            raise NoiseError(f"the standard deviation of noise is from 0 to {largest:g}, found {stddev}")
        super().__init__(ports, fraction_bits, cut_off)
        self._stddev = stddev
        self._entropy = entropy
        self._drawn: str | None = noise.parameters.get("drawn")
        self._earlier = _earlier(known[noise.parameters["earlier"]]) if self._drawn is not None else 0
        self._noise: dict[str, Array] = {}

    def finalize(self) -> dict[str, Array]:
        """The sums with their noise, which is drawn once: they are the same when they are read again."""
        if not self._noise:
            stddev = math.ldexp(self._stddev, self._fraction_bits)
            for name, sums in self._sums.items():
                self._noise[name] = discrete_gaussian(stddev, sums.size, self._entropy).reshape(sums.shape)
        totals = {
            name: from_fixed_point(
                name, sums + self._noise[name] - self._earlier, self._fraction_bits, self._ports[name].spec.dtype
            )
            for name, sums in self._sums.items()
        }
        return totals if self._drawn is None else {**totals, self._drawn: next(iter(self._noise.values()))}


def _earlier(noise: Array) -> Array:
    if noise.size and max(-int(noise.min()), int(noise.max())) > _LARGEST_EARLIER:
        raise NoiseError(f"what a noise takes away is up to 2^61 steps, found {noise.min()} to {noise.max()}")
    return noise


def cut_off(values: Array, fraction_bits: int) -> Array:
    """The integers that floats count as."""
    return np.asarray(np.trunc(values.astype(np.float64) * 2.0**fraction_bits).astype(np.int64))
