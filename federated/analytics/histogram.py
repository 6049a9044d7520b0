"""How many values fall into which of some equal bins between two bounds; those outside count in the nearest bin."""

from typing import Any

import numpy as np

from federated.backends.tf_computation import tf_computation
from federated.language.computation import Computation, federated_computation
from federated.language.errors import MisuseError
from federated.language.operators import federated_map, federated_sum, sequence_reduce
from federated.language.origin import here
from federated.language.placements import CLIENTS
from federated.language.types import FederatedType, SequenceType, TensorType


def build_histogram(lower: float, upper: float, bins: int) -> Computation:
    """`({float32*}@CLIENTS -> int32[bins]@SERVER)`: the counts of all clients' values.

    Args:
        lower, upper: the bounds of the first and the last bin.

    Raises:
        MisuseError: the bounds are no interval, or there is no bin.
    """
    if not (np.isfinite([lower, upper]).all() and lower < upper and bins >= 1):
        raise MisuseError(
            f"a histogram needs finite bounds, lower < upper, and a bin; found {lower}, {upper} and {bins} bins",
            where=here(),
        )
    counts_type = TensorType(np.int32, [bins])

    @tf_computation(counts_type, np.float32)
    def count(counts: Any, value: Any) -> Any:
        from federated.backends.mathematics import cast, clip, floor, one_hot

        place = clip(floor((value - lower) / (upper - lower) * bins), 0.0, bins - 1.0)
        return counts + cast(one_hot(cast(place, "int32"), bins), "int32")

    @federated_computation(FederatedType(SequenceType(np.float32), CLIENTS))
    def histogram(data: Any) -> Any:
        zero = np.zeros(bins, np.int32)
        return federated_sum(federated_map(lambda values: sequence_reduce(values, zero, count), data))

    return histogram
