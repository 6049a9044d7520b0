"""Updates that hold more than a model's: what an algorithm's clients report beside `trainable` and `non_trainable`.

The model's part goes through the aggregator that the user gave; the rest is a mean with the same weights, or what else
the algorithm says, for its server to use.
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
        others: aggregates the rest, without weights; None for the mean with the model's.
    """

    model: AggregationFactory
    finish: Callable[[Any], Any] | None = None
    others: AggregationFactory | None = None

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
        factory = self.others or (MeanFactory() if self.is_weighted else UnweightedMeanFactory())
        rest = factory.create(_part(value_type, others), weight_type if factory.is_weighted else None)
        finish = tf_computation(self.finish or (lambda aggregate: aggregate), value_type)

        def next_round(state: Any, value: Any, *weight: Any) -> Any:
            aggregated = model.next(state, _chosen(value, MODEL), *weight)
            told = weight if factory.is_weighted else ()
            found = rest.next(rest.initialize(), _chosen(value, others), *told)
            parts = {name: getattr((aggregated if name in MODEL else found).result, name) for name in names}
            whole = federated_map(finish, federated_zip(OrderedDict(parts)))
            return MeasuredProcessOutput(aggregated.state, whole, aggregated.measurements)

        return aggregation_process(model.initialize, next_round, value_type, weight_type)


def _part(value_type: StructType, names: Any) -> Type:
    return to_type(OrderedDict((name, value_type[name]) for name in names))


def _chosen(value: Any, names: Any) -> Any:
    return federated_zip(OrderedDict((name, getattr(value, name)) for name in names))
