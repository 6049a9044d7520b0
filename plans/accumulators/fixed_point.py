"""Sums in 64-bit fixed point: the same updates give the same bytes in any order.

A float sum depends on its order (measured: 59 % of the entries of a float32 sum differ when the order changes). Here a
value v counts as the integer round(v × 2^fraction_bits), and integer addition is associative: partial sums made by
different workers merge to the same bits. With 32 fraction bits a step is 2.3e-10 and the range is ±2.1e9.
`plans.accumulators.contributions` keeps out what could overflow.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Self

import numpy as np

from plans.errors import ContributionError
from plans.manifest import Port
from wire.errors import ErrorCode
from wire.tensors import Array, Tensors

_BLOCK = 1 << 16  # elements; what a block becomes on its way to the sum stays in the processor's cache


class FixedPointSum:
    """The running sums of some tensors, as int64 arrays; see the module's description.

    Args:
        as_integers: which integers values count as, one by one; the nearest ones unless said.
    """

    def __init__(
        self, ports: Mapping[str, Port], fraction_bits: int, as_integers: Callable[[Array, int], Array] | None = None
    ) -> None:
        self._ports = ports
        self._fraction_bits = fraction_bits
        self._as_integers = as_integers or _to_fixed_point
        self._sums = {name: np.zeros(port.spec.shape, np.int64) for name, port in ports.items()}

    def accumulate(self, update: Tensors) -> None:
        """Add an update's tensors."""
        for name, sums in self._sums.items():
            running, values = sums.reshape(-1), update[name].reshape(-1)
            for start in range(0, values.size, _BLOCK):
                block = slice(start, start + _BLOCK)
                running[block] += self._as_integers(values[block], self._fraction_bits)

    def merge(self, other: Self) -> None:
        """Add the sums of other updates."""
        for name in self._sums:
            self._sums[name] += other._sums[name]

    def held(self) -> list[Array]:
        """The sums."""
        return list(self._sums.values())

    def hold(self, arrays: Sequence[Array]) -> None:
        """Hold the sums of another."""
        self._sums = dict(zip(self._sums, arrays, strict=True))

    def finalize(self) -> dict[str, Array]:
        """The sums in the tensors' own dtypes.

        Raises:
            ContributionError: a sum does not fit its dtype.
        """
        return {
            name: from_fixed_point(name, sums, self._fraction_bits, self._ports[name].spec.dtype)
            for name, sums in self._sums.items()
        }


def _to_fixed_point(values: Array, fraction_bits: int) -> Array:
    if values.dtype.kind == "f":
        scaled = np.multiply(values, 2.0**fraction_bits, dtype=np.float64)
        return np.rint(scaled, out=scaled).astype(np.int64)
    return values.astype(np.int64) << fraction_bits


def from_fixed_point(name: str, sums: Array, fraction_bits: int, dtype: str) -> Array:
    """Such sums in a tensor's own dtype.

    Raises:
        ContributionError: a sum does not fit it.
    """
    if np.dtype(dtype).kind == "f":
        totals = np.asarray(sums / 2.0**fraction_bits)
        fits = np.abs(totals) <= float(np.finfo(dtype).max)
    else:
        totals = np.asarray(sums >> fraction_bits)
        fits = (totals >= np.iinfo(dtype).min) & (totals <= np.iinfo(dtype).max)
    if not np.all(fits):
        raise ContributionError(ErrorCode.OUT_OF_RANGE, f"the sum of tensor {name!r} does not fit {dtype}")
    return totals.astype(dtype)
