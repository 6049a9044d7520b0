"""Random programs without TensorFlow, and arguments for them: what properties of the whole language are tested with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

import federated as fed
from federated.language.computation import Computation
from tests.federated.numpy_computations import numpy_computation


@numpy_computation(np.float32, np.float32)
def half(x: Any) -> Any:
    return np.float32(x / 2)


@numpy_computation([("x", np.float32), ("y", np.float32)], np.float32)
def larger(x: Any, y: Any) -> Any:
    return np.maximum(x, y)


@numpy_computation([np.float32, np.float32], [np.float32, np.float32])
def swapped(x: Any, y: Any) -> Any:
    return y, x


_CLIENT_STEPS: list[Callable[[Any, Any], Any]] = [
    lambda x, _: fed.federated_map(half, x),
    lambda x, _: fed.federated_map(lambda y: larger(half(y), y), x),
    lambda x, other: fed.federated_map(larger, (x, other)),
    lambda x, other: fed.federated_map(larger, fed.federated_zip({"x": x, "y": other})),
    lambda x, other: fed.federated_map(swapped, [x, other])[1],
    lambda x, _: fed.federated_map(larger, [x, fed.federated_value(0.25, fed.CLIENTS)]),
    lambda x, _: fed.federated_map(larger, [x, fed.federated_broadcast(fed.federated_sum(x))]),
]
_AGGREGATIONS: list[Callable[[Any, Any], Any]] = [
    lambda x, _: fed.federated_sum(x),
    lambda x, _: fed.federated_max([x, x])[0],
    lambda x, _: fed.federated_mean(x, on_zero_weight="nan"),
    lambda x, weight: fed.federated_mean(x, weight, on_zero_weight="nan"),
    lambda x, _: fed.federated_aggregate(x, -1.0, larger, larger, half),
    lambda x, _: fed.federated_map(half, fed.federated_min(x)),
]


@dataclass(frozen=True)
class Program:
    """A computation `(<x={float32}@CLIENTS,w={float32}@CLIENTS,s={float32*}@CLIENTS> -> …)` and arguments for it."""

    computation: Computation
    arguments: tuple[list[float], list[float], list[list[float]]]


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Programs of some steps at the clients and some aggregations, whose results are structures of all they made."""
    steps = draw(st.lists(st.sampled_from(_CLIENT_STEPS), max_size=4))
    aggregations = draw(st.lists(st.sampled_from(_AGGREGATIONS), min_size=1, max_size=3))
    clients = draw(st.integers(0, 4))
    numbers = st.floats(-1000, 1000, width=32)

    def body(x: Any, w: Any, s: Any) -> Any:
        values = [x, fed.sequence_sum(s), fed.sequence_reduce(fed.sequence_map(half, s), 0.5, larger)]
        for step in steps:
            values.append(step(values[-1], values[-2]))
        return {"clients": tuple(values), "server": [aggregate(values[-1], w) for aggregate in aggregations]}

    column = st.lists(numbers, min_size=clients, max_size=clients)
    weights = st.lists(st.floats(0, 10, width=32), min_size=clients, max_size=clients)
    sequences = st.lists(st.lists(numbers, max_size=3), min_size=clients, max_size=clients)
    floats = fed.FederatedType(np.float32, fed.CLIENTS)
    types = (floats, floats, fed.FederatedType(fed.SequenceType(np.float32), fed.CLIENTS))
    return Program(fed.federated_computation(body, *types), (draw(column), draw(weights), draw(sequences)))
