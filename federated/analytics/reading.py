"""Reads quantiles from the counts of a histogram.

Within the bin that holds a quantile, values are taken to lie evenly: for the bin i with count n_i after c_i others,

    q-quantile = lower + (i + (q n − c_i) / n_i) · width
"""

from collections.abc import Sequence
from typing import Any


def quantiles_of_counts(counts: Any, quantiles: Sequence[float], lower: float, upper: float) -> Any:
    """float32[quantiles] from int32[bins] counts of bins of one width; NaN where nothing was counted."""
    from federated.backends.mathematics import cast, clip, cumulative, maximum, one_hot, stack, total

    bins = counts.shape[0]
    numbers = cast(counts, "float32")
    until = cumulative(numbers)
    count = total(numbers)
    found = []
    for q in quantiles:
        below = q * count
        # The first bin with a value that reaches so far; the 0-quantile is in the first that has any.
        place = total(cast(until < maximum(below, 0.5), "float32"))
        its_own = one_hot(cast(place, "int32"), bins)
        size = total(its_own * numbers)
        part = clip((below - total(its_own * (until - numbers))) / maximum(size, 1.0), 0.0, 1.0)
        found.append(lower + (upper - lower) / bins * (place + part) + 0.0 / count)
    return stack(found)
