"""Arguments and results of every shape go through a plan as they go through the local context."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest
import tensorflow as tf

import federated as fed
from tests.federated.contexts.agreement import agree

pytestmark = pytest.mark.tensorflow

FLOATS = fed.FederatedType(np.float32, fed.CLIENTS)
NUMBER = fed.FederatedType(np.float32, fed.SERVER)


class Point(NamedTuple):
    x: Any
    y: Any


@dataclass(frozen=True)
class Reading:
    celsius: Any
    at: Any


@fed.tf_computation
def add(a: Any, b: Any) -> Any:
    return a + b


def test_members_are_dicts_named_tuples_and_dataclasses() -> None:
    member = OrderedDict(point=Point(np.float32, (np.float32, [2])), many=[np.int32, (np.int32, np.float32)])

    @fed.federated_computation(
        fed.FederatedType(member, fed.CLIENTS), fed.FederatedType(Reading(np.float32, np.int64), fed.SERVER)
    )
    def sums(value: Any, kept: Any) -> Any:
        return fed.federated_sum(value), kept, fed.federated_mean(value["point"])

    one = OrderedDict(point=Point(1.0, [2.0, 3.0]), many=[1, (2, 3.0)])
    two = OrderedDict(point=Point(-1.0, [0.5, 0.25]), many=[10, (20, 30.0)])
    result = agree(sums, [one, two], Reading(21.5, 2**40))
    assert isinstance(result[0]["point"], Point)
    assert isinstance(result[1], Reading)


def test_several_parameters_at_each_placement() -> None:
    @fed.tf_computation
    def linear(x: Any, w: Any, b: Any) -> Any:
        return tf.reduce_sum(x * w) + b

    @fed.federated_computation(
        fed.FederatedType((np.float32, [2]), fed.CLIENTS),
        FLOATS,
        fed.FederatedType({"w": (np.float32, [2]), "b": np.float32}, fed.SERVER),
        NUMBER,
    )
    def loss(x: Any, y: Any, model: Any, rate: Any) -> Any:
        sent = fed.federated_broadcast(model)
        predicted = fed.federated_map(linear, (x, sent["w"], sent["b"]))
        return fed.federated_mean(fed.federated_map(add, (predicted, y))), rate, model

    agree(loss, [[1.0, 2.0], [3.0, 4.0]], [0.5, 0.25], {"w": [1.0, -1.0], "b": 2.0}, 0.1)


def test_a_value_that_all_clients_have() -> None:
    @fed.federated_computation(FLOATS, fed.FederatedType(np.float32, fed.CLIENTS, all_equal=True))
    def shifted(x: Any, offset: Any) -> Any:
        return fed.federated_sum(fed.federated_map(add, (x, offset))), fed.federated_max(offset)

    agree(shifted, [1.0, 2.0, 3.0], 10.0)


def test_arguments_that_are_placed_nowhere() -> None:
    @fed.federated_computation(np.float32, FLOATS, {"k": np.int32, "v": (np.float32, [2])})
    def mixed(offset: Any, x: Any, more: Any) -> Any:
        at_clients = fed.federated_value(offset, fed.CLIENTS)
        return fed.federated_sum(fed.federated_map(add, (x, at_clients))), offset, more["v"]

    agree(mixed, 2.5, [1.0, 2.0], {"k": 3, "v": [4.0, 5.0]})


def test_a_lambda_captures_what_is_placed_nowhere() -> None:
    @fed.federated_computation(np.float32, FLOATS)
    def shifted(offset: Any, x: Any) -> Any:
        twice = add(offset, offset)
        return fed.federated_sum(fed.federated_map(lambda one: add(one, twice), x))

    agree(shifted, 2.5, [1.0, 2.0])


def test_local_computations_run_at_the_server_before_and_after() -> None:
    @fed.federated_computation(NUMBER, FLOATS)
    def around(state: Any, x: Any) -> Any:
        doubled = fed.federated_map(lambda s: add(s, s), state)
        total = fed.federated_sum(fed.federated_map(add, (x, fed.federated_broadcast(doubled))))
        return fed.federated_map(add, (total, doubled)), fed.federated_map(lambda s: (s, add(s, s)), state)

    agree(around, 3.0, [1.0, 2.0])


def test_results_that_are_arguments_or_constants() -> None:
    @fed.federated_computation(NUMBER, FLOATS)
    def same(state: Any, x: Any) -> Any:
        return state, fed.federated_value(5, fed.SERVER), fed.federated_sum(x), state

    agree(same, 3.0, [1.0, 2.0])


def test_one_tensor_is_aggregated_as_often_as_it_is_asked_for() -> None:
    @fed.federated_computation(FLOATS)
    def twice(x: Any) -> Any:
        total = fed.federated_sum(x)
        return total, total, fed.federated_sum(x), fed.federated_mean(x, x), fed.federated_max((x, x))

    agree(twice, [1.0, 2.0])


def test_structures_may_be_empty() -> None:
    @fed.federated_computation(fed.FederatedType([np.float32, []], fed.CLIENTS), fed.FederatedType([], fed.SERVER))
    def hollow(x: Any, nothing: Any) -> Any:
        return fed.federated_sum(x), nothing, {}

    agree(hollow, [[1.0, []], [2.0, []]], [])


def test_tensors_of_no_elements() -> None:
    @fed.federated_computation(fed.FederatedType((np.float32, [0, 2]), fed.CLIENTS), FLOATS)
    def hollow(x: Any, y: Any) -> Any:
        return fed.federated_sum(x), fed.federated_sum(y)

    agree(hollow, [np.zeros((0, 2)), np.zeros((0, 2))], [1.0, 2.0])


def test_names_that_are_alike_once_they_are_plain() -> None:
    member = OrderedDict(
        [("a.b", np.float32), ("a_b", np.float32), ("größe", np.float32), ("A B", np.float32), ("数", np.float32)]
    )

    @fed.federated_computation(fed.FederatedType(member, fed.CLIENTS), fed.FederatedType(member, fed.SERVER))
    def named(value: Any, state: Any) -> Any:
        sent = fed.federated_broadcast(state)
        return (
            fed.federated_sum(fed.federated_map(lambda v, s: add(v["a.b"], s["a_b"]), (value, sent))),
            fed.federated_sum(value),
            state,
        )

    def row(start: float) -> Any:
        return OrderedDict(zip(member, np.arange(start, start + 5), strict=True))

    agree(named, [row(1.0), row(10.0)], row(100.0))


def test_parameters_whose_names_are_alike_once_they_are_plain() -> None:
    @fed.federated_computation(FLOATS, FLOATS, NUMBER, NUMBER)
    def named(x: Any, X: Any, s: Any, S: Any) -> Any:  # noqa: N803 - the point
        return fed.federated_sum(x), fed.federated_sum(X), s, S

    agree(named, [1.0, 2.0], [10.0, 20.0], 3.0, 30.0)


def test_sizes_that_the_values_tell() -> None:
    @fed.federated_computation(
        fed.FederatedType((np.float32, [None]), fed.CLIENTS), fed.FederatedType((np.float32, [None]), fed.SERVER)
    )
    def total(x: Any, y: Any) -> Any:
        size = fed.tf_computation(lambda v, w: tf.reduce_sum(v) * tf.reduce_sum(w))
        return fed.federated_sum(fed.federated_map(size, (x, fed.federated_broadcast(y)))), y

    agree(total, [[1.0, 2.0], [3.0, 4.0]], [1.0, 2.0, 3.0])
    agree(total, [[1.0]], [1.0])


def test_only_a_part_of_an_example_is_used() -> None:
    member = {"used": np.float32, "unused": (np.float32, [7])}

    @fed.federated_computation(fed.FederatedType(member, fed.CLIENTS), FLOATS)
    def used(value: Any, ignored: Any) -> Any:
        return fed.federated_sum(value["used"])

    agree(used, [{"used": 1.0, "unused": np.zeros(7)}, {"used": 2.0, "unused": np.ones(7)}], [1.0, 2.0])


def test_computations_call_computations() -> None:
    @fed.federated_computation(FLOATS)
    def inner(x: Any) -> Any:
        return fed.federated_sum(x), fed.federated_mean(x)

    @fed.federated_computation(FLOATS)
    def outer(x: Any) -> Any:
        total, mean = inner(x)
        return fed.federated_map(add, (total, mean)), inner(fed.federated_map(lambda one: add(one, one), x))

    agree(outer, [1.0, 2.0, 6.0])
