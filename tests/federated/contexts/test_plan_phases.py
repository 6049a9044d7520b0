"""What clients came to is sent to them again: a plan of several phases gives what the local context gives."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import federated as fed
from tests.federated.contexts.agreement import agree

pytestmark = pytest.mark.tensorflow

FLOATS = fed.FederatedType(np.float32, fed.CLIENTS)
NUMBER = fed.FederatedType(np.float32, fed.SERVER)
STREAM = fed.FederatedType(fed.SequenceType(np.float32), fed.CLIENTS)


@fed.tf_computation
def add(a: Any, b: Any) -> Any:
    return a + b


@fed.tf_computation
def squared_difference(a: Any, b: Any) -> Any:
    return (a - b) ** 2


def test_a_variance_takes_two_phases() -> None:
    @fed.federated_computation(FLOATS)
    def variance(x: Any) -> Any:
        mean = fed.federated_mean(x)
        return fed.federated_mean(fed.federated_map(squared_difference, (x, fed.federated_broadcast(mean)))), mean

    agree(variance, [1.0, 2.0, 4.0])


def test_three_phases_with_values_that_cross_them() -> None:
    @fed.federated_computation(FLOATS, NUMBER, STREAM)
    def three(x: Any, state: Any, stream: Any) -> Any:
        first = fed.federated_sum(x)
        shifted = fed.federated_map(add, (first, state))
        second = fed.federated_mean(fed.federated_map(add, (x, fed.federated_broadcast(shifted))))
        both = fed.federated_map(lambda a, b: add(b, a), (second, shifted))
        start = fed.federated_broadcast(both)
        third = fed.federated_max(fed.sequence_reduce(stream, start, add))
        return first, second, third, fed.federated_map(add, (third, first)), shifted, state

    agree(three, [1.0, 2.0], 0.5, [[1.0, 2.0], [3.0]])


def test_what_the_server_computed_first_is_used_last() -> None:
    @fed.tf_computation
    def heavy(s: Any) -> Any:
        return s * 3.0, s + 7.0

    @fed.federated_computation(NUMBER, FLOATS)
    def kept(state: Any, x: Any) -> Any:
        made = fed.federated_map(heavy, state)
        total = fed.federated_sum(fed.federated_map(add, (x, fed.federated_broadcast(made[0]))))
        again = fed.federated_sum(fed.federated_map(add, (x, fed.federated_broadcast(total))))
        return fed.federated_map(add, (again, made[1])), fed.federated_map(add, (total, made[0]))

    agree(kept, 2.0, [1.0, 2.0])


def test_a_later_phase_sends_only_what_the_server_has_from_the_start() -> None:
    @fed.federated_computation(NUMBER, FLOATS)
    def again(state: Any, x: Any) -> Any:
        sent = fed.federated_broadcast(state)
        first = fed.federated_sum(fed.federated_map(add, (x, sent)))
        pair = fed.federated_map(add, (fed.federated_broadcast(first), sent))
        return fed.federated_sum(pair), first

    agree(again, 2.0, [1.0, 2.0])


def test_a_broadcast_aggregate_without_any_data_of_clients() -> None:
    @fed.federated_computation
    def counted() -> Any:
        count = fed.federated_sum(fed.federated_value(1, fed.CLIENTS))
        return fed.federated_max(fed.federated_broadcast(count)), count

    agree(counted, clients=3)


def test_custom_aggregations_in_two_phases() -> None:
    @fed.tf_computation
    def largest(a: Any, b: Any) -> Any:
        return tf.maximum(a, b)

    @fed.tf_computation
    def same(a: Any) -> Any:
        return a

    @fed.federated_computation(FLOATS)
    def custom(x: Any) -> Any:
        most = fed.federated_aggregate(x, -1.0, largest, largest, same)
        near = fed.federated_map(squared_difference, (x, fed.federated_broadcast(most)))
        return fed.federated_aggregate(near, 0.0, add, add, lambda a: add(a, a)), most

    agree(custom, [1.0, 2.0, 4.0])


def test_every_kind_of_aggregate_can_be_sent_again() -> None:
    @fed.federated_computation(fed.FederatedType((np.int32, [2]), fed.CLIENTS))
    def again(x: Any) -> Any:
        found = fed.federated_broadcast((fed.federated_sum(x), fed.federated_min(x), fed.federated_secure_sum(x, 100)))
        return fed.federated_max(found)

    agree(again, [[1, 2], [3, 4]])
