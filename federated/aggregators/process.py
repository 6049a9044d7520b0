"""What an aggregator is: a factory that, given the type of the clients' values, makes a process of two computations.

    initialize   ( -> S@SERVER)
    next         (<state=S@SERVER,value={T}@CLIENTS,weight={w}@CLIENTS>
                     -> <state=S@SERVER,result=R@SERVER,measurements=M@SERVER>)

A factory that is not weighted makes a `next` without the weight. Factories nest: one that changes the clients' values
takes another, which aggregates what it gives.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from federated.language.computation import Computation, federated_computation
from federated.language.containers import leaf_types
from federated.language.errors import MisuseError
from federated.language.operators import federated_value
from federated.language.placements import CLIENTS, SERVER
from federated.language.types import FederatedType, Type


class MeasuredProcessOutput(NamedTuple):
    """What a round of an aggregator came to; the measurements are for people to look at."""

    state: Any
    result: Any
    measurements: Any


@dataclass(frozen=True)
class AggregationProcess:
    """An aggregator for values of one type; see the module's description."""

    initialize: Computation
    next: Computation


class AggregationFactory(Protocol):
    """Makes aggregators."""

    @property
    def is_weighted(self) -> bool:
        """Whether `next` takes a weight beside the value."""
        ...

    def create(self, value_type: Type, weight_type: Type | None = None) -> AggregationProcess:
        """The aggregator for values of this type.

        Args:
            weight_type: for a factory that is weighted, the type of one number.

        Raises:
            MisuseError: it cannot aggregate such values, or takes a weight and got none, or the other way round.
        """
        ...


def aggregation_process(
    initialize: Computation, body: Callable[..., Any], value_type: Type, weight_type: Type | None
) -> AggregationProcess:
    """The process whose `next` does what `body(state, value, *weight)` does."""
    at_clients = [FederatedType(type_, CLIENTS) for type_ in (value_type, weight_type) if type_ is not None]
    if weight_type is None:

        def next_round(state: Any, value: Any) -> Any:
            return body(state, value)
    else:

        def next_round(state: Any, value: Any, weight: Any) -> Any:  # type: ignore[misc]
            return body(state, value, weight)

    return AggregationProcess(
        initialize, federated_computation(next_round, initialize.type_signature.result, *at_clients)
    )


@federated_computation
def nothing() -> Any:
    """`( -> <>@SERVER)`: the state of an aggregator that remembers nothing, and the measurements of one without any."""
    return federated_value((), SERVER)


def check_weight(factory: AggregationFactory, weight_type: Type | None) -> None:
    """Refuse a weight where there is none to be, and the other way round."""
    name = type(factory).__name__
    if factory.is_weighted and weight_type is None:
        raise MisuseError(f"{name} takes a weight", fix="create(value_type, weight_type), or an unweighted factory")
    if not factory.is_weighted and weight_type is not None:
        raise MisuseError(f"{name} takes no weight", fix="create(value_type), or a weighted factory")


def check_floats(name: str, value_type: Type) -> None:
    """Refuse a value that is not made of floats of known shape."""
    for path, leaf in leaf_types(value_type):
        if leaf.dtype.kind != "f" or leaf.shape is None or None in leaf.shape:
            raise MisuseError(f"{name} takes floats of known shape, found {leaf} at {path} of {value_type}")
