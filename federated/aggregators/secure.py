"""Sums that nobody sees a part of: values become integers, which the secure sum of the language adds.

Values are clipped to [L, U] and put on a grid of 2^b points, which the sum of integers keeps exactly:

    q = round((clip(v, L, U) − L) / s)     s = (U − L) / (2^b − 1)     Σ v ≈ n L + s Σ q

Bonawitz, Salehi, Konečný, McMahan and Gruteser, "Federated Learning with Autotuned Communication-Efficient Secure
Aggregation" (2019), section 3. The sum of n clients needs b + log₂ n bits of an int32, so 20 bits leave room for 2,047.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from federated.aggregators.process import (
    AggregationProcess,
    MeasuredProcessOutput,
    aggregation_process,
    check_weight,
)
from federated.aggregators.quantile import EstimationProcess, estimate_of
from federated.backends.tf_computation import tf_computation
from federated.language.containers import leaf_types, leaves, pack
from federated.language.errors import MisuseError
from federated.language.operators import (
    federated_broadcast,
    federated_map,
    federated_secure_sum_bitwidth,
    federated_value,
    federated_zip,
)
from federated.language.placements import CLIENTS
from federated.language.types import Type

_MOST_BITS = 24  # a float32 holds no larger integers


@final
@dataclass(frozen=True)
class SecureSumFactory:
    """Σ v, of values within bounds, of which no one sees a single client's.

    Attributes:
        upper_bound_threshold: U, or an estimate of the clients' largest magnitudes.
        lower_bound_threshold: L; None for −U.
        bits: b, up to 24.
    """

    upper_bound_threshold: float | EstimationProcess
    lower_bound_threshold: float | None = None
    bits: int = 20
    is_weighted = False

    def create(self, value_type: Type, weight_type: Type | None = None) -> AggregationProcess:
        """See `AggregationFactory`."""
        check_weight(self, weight_type)
        if not 1 <= self.bits <= _MOST_BITS:
            raise MisuseError(f"SecureSumFactory's bits are from 1 to {_MOST_BITS}, found {self.bits}")
        upper, levels = estimate_of(self.upper_bound_threshold), 2**self.bits - 1
        on_grid = _on_grid(value_type, self._lower, levels)
        off_grid = _off_grid(value_type, on_grid.type_signature.result[0], self._lower, levels)
        bits = self.bits

        def next_round(state: Any, value: Any) -> Any:
            limit = upper.report(state)
            integers, largest = federated_map(on_grid, (value, federated_broadcast(limit)))
            total = federated_secure_sum_bitwidth(integers, bits)
            count = federated_secure_sum_bitwidth(federated_value(np.int32(1), CLIENTS), 1)
            measured = federated_zip(OrderedDict(secure_upper_threshold=limit))
            result = federated_map(off_grid, (total, count, limit))
            return MeasuredProcessOutput(upper.next(state, largest), result, measured)

        return aggregation_process(upper.initialize, next_round, value_type, None)

    def _lower(self, upper: Any) -> Any:
        return -upper if self.lower_bound_threshold is None else self.lower_bound_threshold


def _on_grid(value_type: Type, lower: Any, levels: int) -> Any:
    """The integers, and the largest magnitude before."""

    @tf_computation(value_type, np.float32)
    def quantised(value: Any, upper: Any) -> Any:
        from federated.backends.mathematics import cast, clip, largest_magnitude, rounded

        tensors = [cast(v, np.float32) for v in leaves(value_type, value)]
        first, scale = lower(upper), levels / (upper - lower(upper))
        integers = [cast(rounded((clip(v, first, upper) - first) * scale), np.int32) for v in tensors]
        return pack(value_type, integers), largest_magnitude(tensors)

    return quantised


def _off_grid(value_type: Type, integers_type: Type, lower: Any, levels: int) -> Any:
    types = [leaf for _, leaf in leaf_types(value_type)]

    @tf_computation(integers_type, np.int32, np.float32)
    def dequantised(total: Any, count: Any, upper: Any) -> Any:
        from federated.backends.mathematics import cast, rounded

        first, step = lower(upper), (upper - lower(upper)) / levels
        sums = [cast(count, np.float32) * first + step * cast(q, np.float32) for q in leaves(value_type, total)]
        return pack(
            value_type,
            [
                cast(v if leaf.dtype.kind == "f" else rounded(v), leaf.dtype)
                for v, leaf in zip(sums, types, strict=True)
            ],
        )

    return dequantised
