"""Means that a few lying clients do not move far, as aggregators; `federated.language.robust_means` has the papers."""

from typing import Any, final

from federated.aggregators.process import (
    AggregationProcess,
    MeasuredProcessOutput,
    aggregation_process,
    check_floats,
    check_weight,
    nothing,
)
from federated.language.operators import federated_robust_mean
from federated.language.types import Type


@final
class RobustMeanFactory:
    """`fed.federated_robust_mean` of the clients' values; one of weight zero takes no part.

    It takes clients' values as they are, so nothing that hides or sums them can stand inside; clipping and zeroing may
    stand around it.

    Example:
        >>> RobustMeanFactory("krum", byzantine=2, selected=5)
    """

    is_weighted = True

    def __init__(self, kind: str, **parameters: float) -> None:
        self._kind, self._parameters = kind, parameters

    def create(self, value_type: Type, weight_type: Type | None = None) -> AggregationProcess:
        """See `AggregationFactory`."""
        check_weight(self, weight_type)
        check_floats("RobustMeanFactory", value_type)

        def next_round(state: Any, value: Any, weight: Any) -> Any:
            result = federated_robust_mean(value, self._kind, weight, **self._parameters)
            return MeasuredProcessOutput(state, result, nothing())

        return aggregation_process(nothing, next_round, value_type, weight_type)

    def __repr__(self) -> str:
        settings = [f"{name}={value}" for name, value in self._parameters.items()]
        return f"RobustMeanFactory({', '.join([repr(self._kind), *settings])})"
