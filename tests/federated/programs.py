"""Random federated programs: a list of steps, each of which makes one more value of those that there are.

A step names an operator and which values of the right kinds it takes, modulo how many there are, so that every list is
a program. Kinds: `cf`, `ci` a float or an integer at each client; `sf`, `si` one at the server.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

import federated as fed

STREAM = fed.FederatedType(fed.SequenceType(np.float32), fed.CLIENTS)
PARAMETERS = (
    fed.FederatedType(np.float32, fed.CLIENTS),
    fed.FederatedType(np.int32, fed.CLIENTS),
    STREAM,
    fed.FederatedType(np.float32, fed.SERVER),
    fed.FederatedType(np.int32, fed.SERVER),
)


@dataclass(frozen=True)
class Functions:
    """The local computations that programs are made of, in one library or another.

    Attributes:
        mix: `(<float32,float32> -> float32)`; `most` likewise.
        add: `(<int32,int32> -> int32)`.
        float_of: `(int32 -> float32)`.
        weight: `(float32 -> float32)`, positive.
        count: `(<int32,float32> -> int32)`; an accumulator, with `add` as its merge.
        same: `(int32 -> int32)`.
    """

    mix: Any
    most: Any
    add: Any
    float_of: Any
    weight: Any
    count: Any
    same: Any


Pool = dict[str, list[Any]]
Step = tuple[str, int, int, int]


def _taken(pool: Pool, kind: str, number: int) -> Any:
    return pool[kind][number % len(pool[kind])]


def _fold(functions: Functions, pool: Pool, start: Any) -> Any:
    return fed.sequence_reduce(pool["stream"][0], start, functions.mix)


def _mapped_fold(functions: Functions, pool: Pool, own: Any) -> Any:
    def both(pair: Any) -> Any:
        return fed.sequence_sum(fed.sequence_map(lambda x: functions.mix(x, pair[1]), pair[0]))

    return fed.federated_map(both, (pool["stream"][0], own))


# The operator, what it gives, and what it takes.
_STEPS: Mapping[str, tuple[str, tuple[str, ...], Callable[..., Any]]] = {
    "mix_at_clients": ("cf", ("cf", "cf"), lambda f, p, a, b: fed.federated_map(f.mix, (a, b))),
    "most_at_server": ("sf", ("sf", "sf"), lambda f, p, a, b: fed.federated_map(f.most, (a, b))),
    "twice_in_a_lambda": ("cf", ("cf",), lambda f, p, a: fed.federated_map(lambda x: f.mix(x, f.most(x, x)), a)),
    "add_at_clients": ("ci", ("ci", "ci"), lambda f, p, a, b: fed.federated_map(f.add, (a, b))),
    "add_at_server": ("si", ("si", "si"), lambda f, p, a, b: fed.federated_map(f.add, (a, b))),
    "float_at_clients": ("cf", ("ci",), lambda f, p, a: fed.federated_map(f.float_of, a)),
    "float_at_server": ("sf", ("si",), lambda f, p, a: fed.federated_map(f.float_of, a)),
    "broadcast_float": ("cf", ("sf",), lambda f, p, a: fed.federated_broadcast(a)),
    "broadcast_int": ("ci", ("si",), lambda f, p, a: fed.federated_broadcast(a)),
    "constant": ("cf", (), lambda f, p: fed.federated_value(0.75, fed.CLIENTS)),
    "sum_floats": ("sf", ("cf",), lambda f, p, a: fed.federated_sum(a)),
    "sum_ints": ("si", ("ci",), lambda f, p, a: fed.federated_sum(a)),
    "mean": ("sf", ("cf",), lambda f, p, a: fed.federated_mean(a)),
    "weighted": (
        "sf",
        ("cf", "cf"),
        lambda f, p, a, b: fed.federated_mean(a, fed.federated_map(f.weight, b), on_zero_weight="nan"),
    ),
    "min": ("sf", ("cf",), lambda f, p, a: fed.federated_min(a)),
    "max": ("si", ("ci",), lambda f, p, a: fed.federated_max(a)),
    "max_of_two": ("sf", ("cf", "cf"), lambda f, p, a, b: fed.federated_max((a, b))[1]),
    "custom": ("si", ("cf",), lambda f, p, a: fed.federated_aggregate(a, 0, f.count, f.add, f.same)),
    "sum_of_stream": ("cf", (), lambda f, p: fed.sequence_sum(p["stream"][0])),
    "fold": ("cf", ("cf",), _fold),
    "mapped_fold": ("cf", ("cf",), _mapped_fold),
}


def program(functions: Functions, steps: list[Step]) -> Any:
    """The computation of a list of steps; its result is every value at the server."""

    @fed.federated_computation(*PARAMETERS)
    def random_program(x: Any, n: Any, stream: Any, state: Any, count: Any) -> Any:
        pool: Pool = {"cf": [x], "ci": [n], "sf": [state], "si": [count], "stream": [stream]}
        for name, *numbers in steps:
            kind, takes, make = _STEPS[name]
            taken = [_taken(pool, one, number) for one, number in zip(takes, numbers, strict=False)]
            pool[kind].append(make(functions, pool, *taken))
        return {
            "floats": pool["sf"],
            "ints": pool["si"],
            "last": fed.federated_sum(pool["cf"][-1]),
            "most": fed.federated_max(pool["ci"][-1]),
        }

    return random_program


_numbers = st.integers(0, 7)
steps = st.lists(st.tuples(st.sampled_from(sorted(_STEPS)), _numbers, _numbers, _numbers), max_size=9)

_floats = st.floats(-8, 8, width=16, allow_nan=False)
_ints = st.integers(-100, 100)
_client = st.tuples(_floats, _ints, st.lists(_floats, max_size=4))


@st.composite
def arguments(draw: st.DrawFn) -> tuple[Any, ...]:
    """What a program is called with, for one to four clients."""
    clients = draw(st.lists(_client, min_size=1, max_size=4))
    columns = [list(column) for column in zip(*clients, strict=True)]
    return (*columns, draw(_floats), draw(_ints))
