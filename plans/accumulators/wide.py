"""Exact sums: integers of 320 bits, which hold every float32 and every int64 without rounding.

Every float32 is a whole number of 2^-149, float32's smallest step, and less than 2^277 of them; so a sum of floats is a
sum of integers, associative and exact, and is rounded once, when it is read (Kulisch's accumulator). A number is ten
limbs of 32 bits, each in an int64: an addition touches two limbs, and the 31 bits to spare hold the carries of two
thousand million additions, which are passed on when the sum is read.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Self

import numpy as np

from plans.errors import ContributionError
from plans.manifest import WIDE_BITS, WIDE_FRACTION_BITS, Port
from wire.errors import ErrorCode
from wire.tensors import Array, Tensors

_LIMB_BITS = 32
_LIMBS = WIDE_BITS // _LIMB_BITS
_MASK = (1 << _LIMB_BITS) - 1
_FRACTION_BITS, _MOST_EXPONENT = 23, 255  # of a float32
_BLOCK_ELEMENTS = 8192
_EXACT_BITS = 53  # integers up to so many bits are exact in a float64
_SPARE_BITS = 2 * _LIMB_BITS - _EXACT_BITS


class WideSum:
    """The running sums of some tensors, as limbs [10, elements] int64; see the module's description."""

    def __init__(self, ports: Mapping[str, Port]) -> None:
        self._ports = ports
        self._limbs = {
            name: np.zeros((_LIMBS, int(np.prod(port.spec.shape))), np.int64) for name, port in ports.items()
        }

    def accumulate(self, update: Tensors) -> None:
        """Add an update's tensors."""
        for name, limbs in self._limbs.items():
            values = update[name].ravel()
            add = _add_floats if values.dtype.kind == "f" else _add_integers
            for block in _blocks(values.size):
                add(limbs[:, block], values[block])

    def merge(self, other: Self) -> None:
        """Add the sums of other updates."""
        for name in self._limbs:
            self._limbs[name] += other._limbs[name]

    def held(self) -> list[Array]:
        """For each tensor, the limbs that are not all zero, and which they are: three of ten for most updates."""
        given: list[Array] = []
        for limbs in self._limbs.values():
            is_used = np.asarray(limbs.any(axis=1))
            given += [is_used, limbs[is_used]]
        return given

    def hold(self, arrays: Sequence[Array]) -> None:
        """Hold the sums of another."""
        for limbs, is_used, used in zip(self._limbs.values(), arrays[::2], arrays[1::2], strict=True):
            limbs[is_used] = used
            limbs[~is_used] = 0

    def finalize(self) -> dict[str, Array]:
        """The sums in the tensors' own dtypes, floats rounded once, to the nearest.

        Raises:
            ContributionError: a sum does not fit its dtype.
        """
        return {name: _read(name, limbs, self._ports[name]) for name, limbs in self._limbs.items()}


def _blocks(size: int) -> Iterator[slice]:
    """Elements in portions that a processor's cache holds, which is ten times as fast as all of them at once."""
    return (slice(start, start + _BLOCK_ELEMENTS) for start in range(0, size, _BLOCK_ELEMENTS))


def _add_floats(limbs: Array, values: Array) -> None:
    """Add ±m · 2^(shift − 149), where m < 2^24 is an integer: the bits of a float32, read as IEEE 754 says."""
    bits = values.astype(np.float32).view(np.int32)
    exponents = (bits >> _FRACTION_BITS) & _MOST_EXPONENT
    shifts = np.maximum(exponents, 1) - 1
    fractions = bits & ((1 << _FRACTION_BITS) - 1)
    significands = np.where(exponents > 0, fractions | (1 << _FRACTION_BITS), fractions).astype(np.int64)
    shifted = np.where(bits < 0, -significands, significands) << (shifts % _LIMB_BITS)
    low, high = shifted & _MASK, shifted >> _LIMB_BITS
    index = shifts // _LIMB_BITS
    for limb in np.flatnonzero(np.bincount(index)):
        is_here = index == limb
        limbs[limb] += low * is_here
        limbs[limb + 1] += high * is_here


def _add_integers(limbs: Array, values: Array) -> None:
    wide = values.astype(np.int64)
    limbs[0] += wide & _MASK
    limbs[1] += wide >> _LIMB_BITS


def _read(name: str, limbs: Array, port: Port) -> Array:
    dtype = port.spec.dtype
    read = _read_floats if np.dtype(dtype).kind == "f" else _read_integers
    totals = np.zeros(limbs.shape[1], dtype)
    for block in _blocks(totals.size):
        totals[block], fits = read(_carried(limbs[:, block]), dtype)
        if not fits.all():
            raise ContributionError(ErrorCode.OUT_OF_RANGE, f"the sum of tensor {name!r} does not fit {dtype}")
    return totals.reshape(port.spec.shape)


def _carried(limbs: Array) -> Array:
    """The same numbers with every limb but the last, which has the sign, in [0, 2^32)."""
    carried = limbs.copy()
    for index in range(_LIMBS - 1):
        carried[index + 1] += carried[index] >> _LIMB_BITS
        carried[index] &= _MASK
    return carried


def _read_integers(limbs: Array, dtype: str) -> tuple[Array, Array]:
    low, high = limbs[0], limbs[1]
    totals = (high << _LIMB_BITS) | low  # modulo 2^64
    sign = totals >> (2 * _LIMB_BITS - 1)  # 0 or -1: what all the limbs above must say
    fits = (limbs[2:-1] == (sign & _MASK)).all(axis=0) & (limbs[-1] == sign)
    limits = np.iinfo(dtype)
    return totals.astype(dtype), fits & (totals >= limits.min) & (totals <= limits.max)


def _read_floats(limbs: Array, dtype: str) -> tuple[Array, Array]:
    """Round to odd on the way to float64, so that the rounding to `dtype` is the only one that shows.

    Boldo and Melquiond, "Emulation of a FMA and Correctly Rounded Sums: Proved Algorithms Using Rounding to Odd"
    (2008): what is cut off leaves a 1 in the last bit of at least 33, out of sight of the 24 that are kept.
    """
    is_negative = limbs[-1] < 0
    magnitude = _carried(np.where(is_negative, -limbs, limbs))
    is_used = magnitude != 0
    top = np.maximum(_LIMBS - 1 - np.argmax(is_used[::-1], axis=0), 1)
    columns = np.arange(top.size)
    significand = (magnitude[top, columns] << _LIMB_BITS).astype(np.uint64) | magnitude[top - 1, columns].astype(
        np.uint64
    )
    is_cut = np.logical_or.accumulate(is_used, axis=0)[np.maximum(top - 2, 0), columns] & (top > 1)
    is_long = significand >> np.uint64(_EXACT_BITS) != 0
    is_cut |= is_long & (significand & np.uint64((1 << _SPARE_BITS) - 1) != 0)
    significand = np.where(is_long, significand >> np.uint64(_SPARE_BITS), significand) | is_cut.astype(np.uint64)
    exponent = _LIMB_BITS * (top - 1) + np.where(is_long, _SPARE_BITS, 0) - WIDE_FRACTION_BITS
    values = np.ldexp(significand.astype(np.float64), exponent)
    with np.errstate(over="ignore"):
        totals = np.where(is_negative, -values, values).astype(dtype)
    return totals, np.isfinite(totals)
