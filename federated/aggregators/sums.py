"""The sum of the clients' values: exact, rounded once, whatever their order."""

from dataclasses import dataclass
from typing import Any, final

from federated.aggregators.process import (
    AggregationProcess,
    MeasuredProcessOutput,
    aggregation_process,
    check_weight,
    nothing,
)
from federated.language.operators import federated_sum
from federated.language.types import Type


@final
@dataclass(frozen=True)
class SumFactory:
    """Σ v, of numbers; zero of no clients."""

    is_weighted = False

    def create(self, value_type: Type, weight_type: Type | None = None) -> AggregationProcess:
        """See `AggregationFactory`."""
        check_weight(self, weight_type)

        def next_round(state: Any, value: Any) -> Any:
            return MeasuredProcessOutput(state, federated_sum(value), nothing())

        return aggregation_process(nothing, next_round, value_type, None)
