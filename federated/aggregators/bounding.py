"""An aggregator of values whose norm is bounded first, by a bound that is fixed or follows the clients' norms.

Clipping and zeroing are both of this form; what they do with a value beyond the bound is all that differs.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from federated.aggregators.process import (
    AggregationFactory,
    AggregationProcess,
    MeasuredProcessOutput,
    aggregation_process,
    check_floats,
    check_weight,
)
from federated.aggregators.quantile import EstimationProcess
from federated.backends.tf_computation import tf_computation
from federated.language.computation import federated_computation
from federated.language.containers import leaves, pack
from federated.language.operators import federated_broadcast, federated_map, federated_zip
from federated.language.types import TensorType, Type

Bound = Callable[[list[Any], Any], tuple[list[Any], Any, Any]]
"""From a value's tensors and the bound to the new tensors, the value's norm, and 1 if it was beyond, otherwise 0."""


@final
@dataclass(frozen=True)
class BoundingFactory:
    """Bounds each client's value, and hands it to another aggregator.

    Attributes:
        noun: what this is called in measurements and in the state: `clipping`.
        verb: what it has done to a value: `clipped`.
        norm: estimates the bound.
        count_sum: sums how many clients were beyond it.
    """

    noun: str
    verb: str
    bound: Bound
    norm: EstimationProcess
    inner: AggregationFactory
    count_sum: AggregationFactory

    @property
    def is_weighted(self) -> bool:
        """As the aggregator inside."""
        return self.inner.is_weighted

    def create(self, value_type: Type, weight_type: Type | None = None) -> AggregationProcess:
        """See `AggregationFactory`."""
        check_weight(self, weight_type)
        check_floats(self.noun, value_type)
        inner = self.inner.create(value_type, weight_type)
        counting = self.count_sum.create(TensorType(np.int32))
        norm, bounded = self.norm, _bounded(self.bound, value_type)

        def joined(norm: Any, inner: Any, count: Any) -> Any:
            names = (f"{self.noun}_norm", "inner_agg", f"{self.verb}_count_agg")
            return federated_zip(OrderedDict(zip(names, (norm, inner, count), strict=True)))

        @federated_computation
        def initialize() -> Any:
            return joined(norm.initialize(), inner.initialize(), counting.initialize())

        def next_round(state: Any, value: Any, *weight: Any) -> Any:
            norm_state, inner_state, count_state = state
            limit = norm.report(norm_state)
            kept, found, is_beyond = federated_map(bounded, (value, federated_broadcast(limit)))
            aggregated = inner.next(inner_state, kept, *weight)
            counted = counting.next(count_state, is_beyond)
            measured = {
                self.noun: aggregated.measurements,
                f"{self.noun}_norm": limit,
                f"{self.verb}_count": counted.result,
            }
            return MeasuredProcessOutput(
                joined(norm.next(norm_state, found), aggregated.state, counted.state),
                aggregated.result,
                federated_zip(OrderedDict(measured)),
            )

        return aggregation_process(initialize, next_round, value_type, weight_type)


def _bounded(bound: Bound, value_type: Type) -> Any:
    @tf_computation(value_type, np.float32)
    def bounded(value: Any, limit: Any) -> Any:
        from federated.backends.mathematics import cast

        tensors, norm, is_beyond = bound(leaves(value_type, value), limit)
        return pack(value_type, tensors), norm, cast(is_beyond, np.int32)

    return bounded
