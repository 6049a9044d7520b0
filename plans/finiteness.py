"""Which numbers are finite: those that no runtime may have made of an infinity.

A TFLite runtime clamps what a sum, a product or a quotient gives to ±FLT_MAX, the largest number of its dtype, though
nothing asks for it; which ones do depends on the runtime and on what XNNPACK takes. On one device 1/0 is infinite, on
another 3.4e38, and that is no more a measurement than the other. So the largest number is not finite either.
"""

from typing import Any

import numpy as np

from plans.manifest import Kind
from wire.tensors import Array

_LARGEST = {np.finfo(dtype).dtype.itemsize: np.finfo(dtype).max for dtype in (np.float16, np.float32, np.float64)}


def is_finite(values: Array) -> bool:
    """Whether every number of a tensor is finite; integers are."""
    if values.dtype.kind != "f" or values.size == 0:
        return True
    largest = _LARGEST[values.dtype.itemsize]
    if values.size == 1:
        return bool(-largest < values.item() < largest)
    highest, lowest = np.maximum.reduce(values, axis=None), np.minimum.reduce(values, axis=None)
    return bool(highest < largest and lowest > -largest)  # neither holds of NaN, which is both


def of_nobody(dtype: Any, kind: Kind) -> Any:
    """What leaves every other number as it is: the largest for a minimum, the smallest for a maximum."""
    limits: Any = np.finfo(dtype) if np.dtype(dtype).kind == "f" else np.iinfo(dtype)
    return limits.max if kind is Kind.MIN else limits.min
