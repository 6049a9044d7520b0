"""The mean of the clients' values: Σ w v / Σ w, or Σ v / n.

Where no sums are given, this is the language's own mean: exact sums, a client of weight zero counts for nothing
whatever its value, and a total weight of zero is an error. With sums of one's own, such as compressed or secure ones,
each client multiplies its value with its weight before it goes into the sum of values.
"""

from collections import OrderedDict
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
    nothing,
)
from federated.aggregators.sums import SumFactory
from federated.backends.tf_computation import tf_computation
from federated.language.computation import federated_computation
from federated.language.containers import leaves, pack
from federated.language.operators import federated_map, federated_mean, federated_value, federated_zip
from federated.language.placements import CLIENTS
from federated.language.types import TensorType, Type


@final
@dataclass(frozen=True)
class MeanFactory:
    """Σ w v / Σ w.

    Attributes:
        value_sum_factory, weight_sum_factory: how the sums are made; None for the language's own.
        no_nan_division: with sums of one's own, whether a total weight of zero gives zero; otherwise it gives NaN.
    """

    value_sum_factory: AggregationFactory | None = None
    weight_sum_factory: AggregationFactory | None = None
    no_nan_division: bool = False
    is_weighted = True

    def create(self, value_type: Type, weight_type: Type | None = None) -> AggregationProcess:
        """See `AggregationFactory`."""
        check_weight(self, weight_type)
        check_floats("MeanFactory", value_type)
        if self == MeanFactory():
            return aggregation_process(nothing, _own_mean, value_type, weight_type)
        products = _products(value_type, weight_type)
        divided = _quotients(value_type, weight_type, self.no_nan_division)
        values = (self.value_sum_factory or SumFactory()).create(value_type)
        weights = (self.weight_sum_factory or SumFactory()).create(weight_type)  # type: ignore[arg-type]

        @federated_computation
        def initialize() -> Any:
            sums = OrderedDict(value_sum_process=values.initialize(), weight_sum_process=weights.initialize())
            return federated_zip(sums)

        def next_round(state: Any, value: Any, weight: Any) -> Any:
            value_sum = values.next(state.value_sum_process, federated_map(products, (value, weight)))
            weight_sum = weights.next(state.weight_sum_process, weight)
            return MeasuredProcessOutput(
                federated_zip(OrderedDict(value_sum_process=value_sum.state, weight_sum_process=weight_sum.state)),
                federated_map(divided, (value_sum.result, weight_sum.result)),
                _measured(value_sum.measurements, weight_sum.measurements),
            )

        return aggregation_process(initialize, next_round, value_type, weight_type)


@final
@dataclass(frozen=True)
class UnweightedMeanFactory:
    """Σ v / n, over all clients of the round.

    Attributes:
        value_sum_factory, count_sum_factory: how the sums are made; None for the language's own.
    """

    value_sum_factory: AggregationFactory | None = None
    count_sum_factory: AggregationFactory | None = None
    is_weighted = False

    def create(self, value_type: Type, weight_type: Type | None = None) -> AggregationProcess:
        """See `AggregationFactory`."""
        check_weight(self, weight_type)
        check_floats("UnweightedMeanFactory", value_type)
        if self == UnweightedMeanFactory():
            return aggregation_process(nothing, _own_mean, value_type, None)
        count_type = TensorType(np.int32)
        weighted = MeanFactory(self.value_sum_factory or SumFactory(), self.count_sum_factory)
        mean = weighted.create(value_type, count_type)

        def next_round(state: Any, value: Any) -> Any:
            return mean.next(state, value, federated_value(np.int32(1), CLIENTS))

        return aggregation_process(mean.initialize, next_round, value_type, None)


def _own_mean(state: Any, value: Any, *weight: Any) -> Any:
    return MeasuredProcessOutput(state, federated_mean(value, *weight), _measured(nothing(), nothing()))


def _measured(values: Any, weights: Any) -> Any:
    return federated_zip(OrderedDict(mean_value=values, mean_weight=weights))


def _products(value_type: Type, weight_type: Any) -> Any:
    """w v, and 0 where w is."""

    @tf_computation(value_type, weight_type)
    def weigh(value: Any, weight: Any) -> Any:
        from federated.backends.mathematics import cast, where, zeros_like

        def product(v: Any) -> Any:
            w = cast(weight, v.dtype)
            return where(w == 0, zeros_like(v), w * v)

        return pack(value_type, [product(v) for v in leaves(value_type, value)])

    return weigh


def _quotients(value_type: Type, weight_type: Any, is_nan_refused: bool) -> Any:
    """v / w, and 0 where w is 0 and NaN is refused."""

    @tf_computation(value_type, weight_type)
    def divide(value: Any, weight: Any) -> Any:
        from federated.backends.mathematics import cast, where, zeros_like

        def quotient(v: Any) -> Any:
            w = cast(weight, v.dtype)
            if not is_nan_refused:
                return v / w
            return where(w == 0, zeros_like(v), v / where(w == 0, zeros_like(w) + 1, w))

        return pack(value_type, [quotient(v) for v in leaves(value_type, value)])

    return divide
