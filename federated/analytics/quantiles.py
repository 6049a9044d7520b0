"""Quantiles of all clients' values, from a histogram: right to within the width of a bin."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from federated.analytics.histogram import build_histogram
from federated.analytics.reading import quantiles_of_counts
from federated.backends.tf_computation import tf_computation
from federated.language.computation import Computation, federated_computation
from federated.language.errors import MisuseError
from federated.language.operators import federated_map
from federated.language.origin import here
from federated.language.placements import CLIENTS
from federated.language.types import FederatedType, SequenceType, TensorType


def build_quantiles(quantiles: Sequence[float], lower: float, upper: float, bins: int = 1024) -> Computation:
    """`({float32*}@CLIENTS -> float32[quantiles]@SERVER)`; NaN where there are no values.

    Args:
        quantiles: from 0 to 1.
        lower, upper: values outside count as these.
        bins: more are more exact, and more to send: 4 bytes each.

    Raises:
        MisuseError: a quantile outside 0 and 1, or see `build_histogram`.
    """
    if not quantiles or not all(0 <= q <= 1 for q in quantiles):
        raise MisuseError(f"quantiles lie from 0 to 1, found {list(quantiles)}", where=here())
    histogram = build_histogram(lower, upper, bins)

    @tf_computation(TensorType(np.int32, [bins]))
    def read(counts: Any) -> Any:
        return quantiles_of_counts(counts, quantiles, lower, upper)

    @federated_computation(FederatedType(SequenceType(np.float32), CLIENTS))
    def quantiles_of(data: Any) -> Any:
        return federated_map(read, histogram(data))

    return quantiles_of
