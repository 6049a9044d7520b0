"""Random integers X of the discrete Gaussian distribution, P(X = x) ∝ exp(−x² / 2σ²), exactly.

Canonne, Kamath and Steinke, "The Discrete Gaussian for Differential Privacy" (2020): added to integers, it is as
private as the Gaussian, and no rounding of a float tells the sum apart (Mironov, "On Significance of the Least
Significant Bits for Differential Privacy", 2012).

Drawn by rejection, many at once. With t = ⌈σ √(2 ln 2)⌉ a candidate is ±y with y = u + t v, where u is uniform below t
and v is 0 with probability 1/2, 1 with 1/4, and so on; it is kept with the probability

    p = 2^v · exp(−y² / 2σ²)

which t makes at most 1; −0 is no candidate. A uniform number of endless digits is compared with p: the first 64 bits
nearly always decide, and where float64 cannot tell, more digits of both do. Beyond 75 σ, where all probability together
is below 2⁻⁴⁰⁰⁰, nothing is drawn.
"""

import math
import os
from collections.abc import Callable
from decimal import Decimal, localcontext

import numpy as np

from wire.tensors import Array

Entropy = Callable[[int], bytes]
"""So many random bytes that nobody can foresee."""

LARGEST_STDDEV = 2.0**52

_BLOCK = 1 << 16  # candidates at a time
_WIDTH = 1.1774100226  # a little more than √(2 ln 2), so that no rounding makes a p more than 1
_WORD = 64
_UNIT_BITS = 53
_SURE = 2.0**-48  # more than what a float64 of p is wrong by, for each unit of 1 + y² / σ²


def discrete_gaussian(stddev: float, count: int, entropy: Entropy = os.urandom) -> Array:
    """int64[count]; zeros for a `stddev` of 0.

    Args:
        stddev: σ, up to 2^52. That of the numbers is σ from about 1 on, and less below.
        entropy: where the randomness comes from; the operating system's is the only one that is private.
    """
    if not 0 <= stddev <= LARGEST_STDDEV:
        raise ValueError(f"a standard deviation is from 0 to 2^52, found {stddev}")
    drawn = np.zeros(count, np.int64)
    found = count if stddev == 0 else 0
    while found < count:
        kept = _kept(stddev, min(_BLOCK, 64 + 3 * (count - found)), entropy)[: count - found]
        drawn[found : found + len(kept)] = kept
        found += len(kept)
    return drawn


def _kept(stddev: float, candidates: int, entropy: Entropy) -> Array:
    """Those of some candidates that are kept."""
    first, second, uniform = np.frombuffer(entropy(3 * 8 * candidates), "<u8").reshape(3, candidates)
    t = math.ceil(stddev * _WIDTH)
    u = (first & np.uint64((1 << (t - 1).bit_length()) - 1)).astype(np.int64)
    is_negative = first >> np.uint64(_WORD - 1) == 1
    v = _trailing_zeros(second)
    y = u + t * v
    is_kept = (u < t) & ~(is_negative & (y == 0))
    is_kept[is_kept] = is_below(uniform[is_kept], v[is_kept], y[is_kept], stddev, entropy)
    return np.asarray(np.where(is_negative, -y, y)[is_kept])


def is_below(uniform: Array, v: Array, y: Array, stddev: float, entropy: Entropy) -> Array:
    """Whether uniform numbers, whose first 64 bits are given as uint64, are below p of the module's description."""
    scaled = y / stddev
    p = np.exp2(v) * np.exp(-0.5 * scaled * scaled)
    number = uniform * 2.0**-_WORD
    doubt = p * (_SURE * (1 + scaled * scaled)) + 2.0**-_UNIT_BITS
    below: Array = number < p
    for index in np.flatnonzero(np.abs(number - p) <= doubt):
        below[index] = is_below_exactly(int(uniform[index]), int(v[index]), int(y[index]), stddev, entropy)
    return below


def is_below_exactly(uniform: int, v: int, y: int, stddev: float, entropy: Entropy) -> bool:
    """The same of one number, with as many digits as it takes."""
    bits = _WORD
    while True:
        with localcontext(prec=bits):
            scaled = Decimal(y) / Decimal(stddev)
            p = 2**v * (-scaled * scaled / 2).exp()
            error = p * (1 + scaled * scaled) * Decimal(10) ** (3 - bits)
            low, high = (Decimal(end) / Decimal(2) ** bits for end in (uniform, uniform + 1))
            if high <= p - error:
                return True
            if low >= p + error:
                return False
        uniform = uniform << _WORD | int.from_bytes(entropy(_WORD // 8), "little")
        bits += _WORD


def _trailing_zeros(words: Array) -> Array:
    """How many zeros each uint64 ends with; 64 for zero."""
    lowest = words & (~words + np.uint64(1))
    return np.where(lowest == 0, _WORD, np.frexp(lowest.astype(np.float64))[1] - 1).astype(np.int64)
