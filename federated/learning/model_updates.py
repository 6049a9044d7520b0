"""Updates that hold more than a model's: what an algorithm's clients report beside `trainable` and `non_trainable`.

The model's part goes through the aggregator that the user gave; the rest is a mean with the same weights, for the
algorithm's server to use.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

from federated.aggregators.mean import MeanFactory, UnweightedMeanFactory
from federated.aggregators.process import (
    AggregationFactory,
    AggregationProcess,
    MeasuredProcessOutput,
    aggregation_process,
)
from federated.backends.tf_computation import tf_computation
from federated.language.operators import federated_map, federated_zip
from federated.language.types import StructType, Type, to_type

MODEL = ("trainable", "non_trainable")


@final
@dataclass(frozen=True)
class ModelUpdateFactory:
    """Aggregates a model's part of an update, and takes the mean of the rest.

    Attributes:
        model: aggregates `<trainable=…,non_trainable=…>`.
        finish: what is made of the whole aggregate, on tensors; None for nothing.
    """

    model: AggregationFactory
    finish: Callable[[Any], Any] | None = None

    @property
    def is_weighted(self) -> bool:
        """As the model's aggregator."""
        return self.model.is_weighted

    def create(self, value_type: Type, weight_type: Type | None = None) -> AggregationProcess:
        """See `AggregationFactory`."""
        assert isinstance(value_type, StructType)  # noqa: S101 - it is an update
        names = [str(name) for name in value_type.names()]
        others = [name for name in names if name not in MODEL]
        model = self.model.create(_part(value_type, MODEL), weight_type)
        means = MeanFactory() if self.is_weighted else UnweightedMeanFactory()
        rest = means.create(_part(value_type, others), weight_type)
        finish = tf_computation(self.finish or (lambda aggregate: aggregate), value_type)

        def next_round(state: Any, value: Any, *weight: Any) -> Any:
            aggregated = model.next(state, _chosen(value, MODEL), *weight)
            mean = rest.next(rest.initialize(), _chosen(value, others), *weight)
            parts = {name: getattr((aggregated if name in MODEL else mean).result, name) for name in names}
            whole = federated_map(finish, federated_zip(OrderedDict(parts)))
            return MeasuredProcessOutput(aggregated.state, whole, aggregated.measurements)

        return aggregation_process(model.initialize, next_round, value_type, weight_type)


def _part(value_type: StructType, names: Any) -> Type:
    return to_type(OrderedDict((name, value_type[name]) for name in names))


def _chosen(value: Any, names: Any) -> Any:
    return federated_zip(OrderedDict((name, getattr(value, name)) for name in names))
