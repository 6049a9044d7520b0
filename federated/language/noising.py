"""Sums with noise, of values on a grid: what makes a sum private, if a client's value is bounded before.

A value v counts as the integer ⌊|v| · 2³²⌋ with its sign, and so does the noise: whole numbers of the discrete Gaussian
distribution, from the operating system's randomness, drawn for every element once after the sum. Integers are as
private as the real numbers of the papers, and floats are not (docs/decisions/0027-noise-is-an-integer.md). Correlated
noise has what was drawn in an earlier round taken away from the sum, and is given beside it (Kairouz, McMahan, Song,
Thakkar, Thakurta and Xu, "Practical and Private (Deep) Learning without Sampling or Shuffling", 2021).
"""

import math

import numpy as np

from federated.language.errors import ExecutionError
from plans.discrete_gaussian import discrete_gaussian
from wire.tensors import Array

FRACTION_BITS = 32
LARGEST_STDDEV = 2.0**20
_LARGEST_SUM = 2.0**30


def noised_sum(column: Array, stddev: float, earlier: Array | int = 0) -> tuple[Array, Array]:
    """The sum over the first axis, with noise of this standard deviation and without the earlier one; and the noise.

    Args:
        earlier: int64, steps of the grid, as the noise that is given.

    Raises:
        ExecutionError: the sum has no room for such values, or there is no such noise.
    """
    if not 0 <= stddev <= LARGEST_STDDEV:
        raise ExecutionError(
            f"the stddev of a noise is {stddev}", fix=f"it is a number from 0 to {LARGEST_STDDEV:,.0f}; 0 is no noise"
        )
    values = column.astype(np.float64)
    limit = _LARGEST_SUM / max(len(column), 1)
    if values.size and (largest := float(np.abs(values).max())) >= limit:
        raise ExecutionError(
            f"a noised sum of {len(column)} clients has room for values below {limit:,.0f}, found {largest:g}",
            fix="clip the values at the clients, as whatever is to be private needs anyway",
        )
    integers = np.trunc(np.ldexp(values, FRACTION_BITS)).astype(np.int64).sum(0)
    noise = discrete_gaussian(math.ldexp(stddev, FRACTION_BITS), integers.size).reshape(integers.shape)
    total = np.ldexp((integers + noise - earlier).astype(np.float64), -FRACTION_BITS)
    return np.asarray(total.astype(column.dtype)), np.asarray(noise)
