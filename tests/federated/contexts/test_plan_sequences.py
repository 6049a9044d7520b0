"""Clients go through their examples in a plan, and come to what the local context comes to."""

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
STREAMS = [[1.0, 2.0, 4.0], [], [0.5]]
BATCHES = fed.SequenceType({"x": (np.float32, [None, 3]), "y": (np.int32, [None])})


@fed.tf_computation
def add(a: Any, b: Any) -> Any:
    return a + b


@fed.tf_computation
def multiply(a: Any, b: Any) -> Any:
    return a * b


def batch(size: int, start: int) -> Any:
    x = np.arange(start, start + 3 * size, dtype=np.float32).reshape(size, 3)
    return {"x": x / 10, "y": np.arange(size, dtype=np.int32)}


def test_two_folds_share_one_way_through_the_examples() -> None:
    @fed.federated_computation(STREAM)
    def two(stream: Any) -> Any:
        total = fed.sequence_reduce(stream, 0.0, add)
        product = fed.sequence_reduce(stream, 1.0, multiply)
        return fed.federated_sum(total), fed.federated_mean(product), fed.federated_max(fed.sequence_sum(stream))

    agree(two, STREAMS)


def test_a_fold_that_starts_from_anothers_result_goes_through_the_examples_again() -> None:
    @fed.federated_computation(STREAM)
    def twice(stream: Any) -> Any:
        first = fed.sequence_reduce(stream, 1.0, add)
        second = fed.sequence_reduce(stream, first, multiply)
        third = fed.sequence_reduce(stream, fed.federated_map(add, (first, second)), add)
        return fed.federated_sum((first, second, third))

    agree(twice, STREAMS)


def test_a_fold_starts_from_a_clients_tensor() -> None:
    @fed.federated_computation(STREAM, FLOATS)
    def started(stream: Any, start: Any) -> Any:
        return fed.federated_sum(fed.sequence_reduce(stream, start, add)), fed.federated_sum(start)

    agree(started, STREAMS, [10.0, 20.0, 30.0])


def test_a_fold_starts_from_what_the_server_sends() -> None:
    @fed.federated_computation(STREAM, NUMBER)
    def started(stream: Any, state: Any) -> Any:
        sent = fed.federated_broadcast(state)
        return fed.federated_sum(fed.sequence_reduce(stream, sent, add)), fed.federated_max(sent)

    agree(started, STREAMS, 5.0)


def test_elements_are_mapped_before_they_are_put_together() -> None:
    @fed.tf_computation
    def square(x: Any) -> Any:
        return {"square": x * x, "one": tf.constant(1)}

    @fed.federated_computation(STREAM)
    def moments(stream: Any) -> Any:
        return fed.federated_sum(
            fed.sequence_sum(fed.sequence_map(square, fed.sequence_map(lambda x: add(x, x), stream)))
        )

    agree(moments, STREAMS)


def test_a_fold_uses_tensors_from_outside_of_every_kind() -> None:
    @fed.tf_computation(fed.SequenceType(np.float32), np.float32, np.float32, np.float32)
    def shifted(stream: Any, own: Any, sent: Any, mean: Any) -> Any:
        return stream.reduce(0.0, lambda total, x: total + (x - own) * sent - mean)

    @fed.federated_computation(STREAM, FLOATS, NUMBER)
    def outside(stream: Any, own: Any, state: Any) -> Any:
        first = fed.sequence_sum(stream)
        return fed.federated_sum(fed.federated_map(shifted, (stream, own, fed.federated_broadcast(state), first)))

    agree(outside, STREAMS, [0.5, 0.25, 2.0], 3.0)


def test_batches_whose_size_is_left_open() -> None:
    @fed.tf_computation(BATCHES, (np.float32, [3]))
    def fit(data: Any, start: Any) -> Any:
        def step(state: Any, batch: Any) -> Any:
            w, n = state
            error = tf.linalg.matvec(batch["x"], w) - tf.cast(batch["y"], tf.float32)
            return w - 0.01 * tf.linalg.matvec(batch["x"], error, transpose_a=True), n + tf.cast(
                tf.shape(batch["x"])[0], tf.float32
            )

        return data.reduce((start, tf.constant(0.0)), step)

    @fed.federated_computation(
        fed.FederatedType(BATCHES, fed.CLIENTS), fed.FederatedType((np.float32, [3]), fed.SERVER)
    )
    def train(data: Any, model: Any) -> Any:
        fitted = fed.federated_map(fit, (data, fed.federated_broadcast(model)))
        return fed.federated_mean(fitted[0], fitted[1]), fed.federated_sum(fitted[1])

    agree(train, [[batch(2, 0), batch(2, 4)], [batch(2, 9)], []], [0.1, 0.2, 0.3])


def test_elements_of_several_kinds() -> None:
    element = fed.SequenceType((np.bool_, {"u": (np.uint8, [2]), "i": np.int64}))

    @fed.tf_computation(element)
    def counted(data: Any) -> Any:
        def step(total: Any, flag: Any, rest: Any) -> Any:
            seen, bytes_, big = total
            return seen | flag, bytes_ + tf.cast(rest["u"], tf.int32), big + rest["i"]

        zero = (False, tf.zeros([2], tf.int32), tf.constant(0, tf.int64))
        return data.reduce(zero, lambda total, one: step(total, one[0], one[1]))

    @fed.federated_computation(fed.FederatedType(element, fed.CLIENTS))
    def kinds(data: Any) -> Any:
        result = fed.federated_map(counted, data)
        seen = fed.federated_map(fed.tf_computation(lambda b: tf.cast(b, tf.int32)), result[0])
        return fed.federated_sum(seen), fed.federated_sum(result[1]), fed.federated_sum(result[2])

    def one(flag: bool, start: int) -> Any:
        return flag, {"u": [start, 255], "i": 2**40 + start}

    agree(kinds, [[one(False, 1), one(True, 2)], [one(False, 3)], []])


def test_a_dataset_is_mapped_and_reduced_more_than_once() -> None:
    @fed.tf_computation(fed.SequenceType(np.float32))
    def spread(data: Any) -> Any:
        total, count = data.reduce((0.0, 0.0), lambda state, x: (state[0] + x, state[1] + 1.0))
        mean = total / tf.maximum(count, 1.0)
        squares = data.map(lambda x: (x - mean) ** 2).reduce(0.0, lambda a, x: a + x)
        return {"mean": mean, "squares": squares, "count": count}

    @fed.federated_computation(STREAM)
    def variance(stream: Any) -> Any:
        return fed.federated_sum(fed.federated_map(spread, stream))

    agree(variance, STREAMS)


def test_a_sequence_that_a_local_computation_gives_is_reduced_later() -> None:
    @fed.tf_computation(fed.SequenceType(np.float32), np.float32)
    def scaled(data: Any, factor: Any) -> Any:
        most = data.reduce(0.0, tf.maximum)
        return data.map(lambda x: {"scaled": x * factor, "rest": most - x}), most

    @fed.federated_computation(STREAM, NUMBER)
    def later(stream: Any, factor: Any) -> Any:
        pair = fed.federated_map(scaled, (stream, fed.federated_broadcast(factor)))
        return fed.federated_sum(fed.sequence_sum(pair[0])), fed.federated_max(pair[1])

    agree(later, STREAMS, 3.0)


def test_two_sequences_and_a_tensor() -> None:
    @fed.tf_computation(fed.SequenceType(np.float32), fed.SequenceType(np.int32), np.float32)
    def both(left: Any, right: Any, x: Any) -> Any:
        first = left.reduce(x, lambda a, one: a + one)
        second = right.reduce(0, lambda a, one: a + one)
        return right.reduce(first, lambda a, one: a + tf.cast(one, tf.float32)), second

    @fed.federated_computation(STREAM, fed.FederatedType(fed.SequenceType(np.int32), fed.CLIENTS), FLOATS)
    def mixed(left: Any, right: Any, x: Any) -> Any:
        result = fed.federated_map(both, (left, right, x))
        return fed.federated_sum(result[0]), fed.federated_sum(result[1]), fed.federated_sum(fed.sequence_sum(left))

    agree(mixed, STREAMS, [[1, 2], [3], []], [0.5, 0.25, 0.125])


def test_elements_may_be_vectors_with_a_known_batch() -> None:
    @fed.federated_computation(fed.FederatedType(fed.SequenceType((np.float32, [2, 3])), fed.CLIENTS))
    def total(stream: Any) -> Any:
        return fed.federated_sum(fed.sequence_sum(stream))

    agree(total, [[np.ones((2, 3)), np.full((2, 3), 2.0)], []])


def test_no_client_has_anything() -> None:
    @fed.federated_computation(STREAM)
    def total(stream: Any) -> Any:
        return fed.federated_sum(fed.sequence_sum(stream))

    agree(total, [])
    agree(total, [[], []])


reduced = tf.function(lambda data: data.reduce(0.0, lambda total, x: total + x))


def test_a_tf_function_may_take_the_data_set() -> None:
    @fed.tf_computation(fed.SequenceType(np.float32))
    def twice(data: Any) -> Any:
        return 2.0 * reduced(data)

    plain = fed.tf_computation(fed.SequenceType(np.float32))(reduced)

    @fed.federated_computation(STREAM)
    def totals(stream: Any) -> Any:
        return fed.federated_sum(fed.federated_map(twice, stream)), fed.federated_sum(fed.federated_map(plain, stream))

    agree(totals, STREAMS)
    assert not tf.config.functions_run_eagerly()


def test_a_step_may_be_a_tf_function_that_branches() -> None:
    def step(total: Any, x: Any) -> Any:
        if x > 1.0:
            total += x
        return total

    large = fed.tf_computation(fed.SequenceType(np.float32))(lambda data: data.reduce(0.0, tf.function(step)))
    agree(fed.federated_computation(STREAM)(lambda s: fed.federated_sum(fed.federated_map(large, s))), STREAMS)


def test_selected_slices_go_through_a_local_computation() -> None:
    keys = fed.FederatedType((np.int32, [2]), fed.CLIENTS)
    limit, values = fed.FederatedType(np.int32, fed.SERVER), fed.FederatedType((np.float32, [5]), fed.SERVER)
    slice_ = fed.tf_computation(tf.gather)
    both = fed.tf_computation(fed.SequenceType(np.float32))(
        lambda data: data.reduce((0.0, 1.0), lambda state, x: (state[0] + x, state[1] * x))
    )

    @fed.federated_computation(keys, limit, values)
    def selected(client_keys: Any, most: Any, table: Any) -> Any:
        return fed.federated_sum(fed.federated_map(both, fed.federated_select(client_keys, most, table, slice_)))

    agree(selected, [[1, 2], [3, 4]], 5, np.arange(5.0, dtype=np.float32))


def test_no_slices_are_selected() -> None:
    keys = fed.FederatedType((np.int32, [0]), fed.CLIENTS)

    @fed.federated_computation(keys, fed.FederatedType(np.int32, fed.SERVER), NUMBER)
    def selected(client_keys: Any, most: Any, value: Any) -> Any:
        slices = fed.federated_select(
            client_keys, most, value, fed.tf_computation(lambda v, k: v + tf.cast(k, tf.float32))
        )
        return fed.federated_sum(fed.sequence_sum(slices))

    agree(selected, [np.zeros(0, np.int32)] * 2, 5, 1.0)


def test_a_sequence_that_nobody_uses_and_one_that_all_clients_share() -> None:
    shared = fed.FederatedType(fed.SequenceType(np.float32), fed.CLIENTS, all_equal=True)

    @fed.federated_computation(shared, STREAM, FLOATS)
    def some(stream: Any, unused: Any, x: Any) -> Any:
        return fed.federated_sum(fed.sequence_sum(stream)), fed.federated_sum(x)

    agree(some, [1.0, 2.0], STREAMS, [1.0, 2.0, 3.0])


def test_a_tensor_from_outside_of_the_function_is_a_constant_of_the_plan() -> None:
    factors = tf.constant([1.0, 2.0, 3.0])
    spread = fed.tf_computation(fed.SequenceType(np.float32))(
        lambda data: data.reduce(tf.zeros([3]), lambda total, x: total + x * factors)
    )
    scaled = fed.tf_computation(np.float32)(lambda x: x * factors + np.arange(3, dtype=np.float32))

    @fed.federated_computation(STREAM, FLOATS)
    def totals(stream: Any, x: Any) -> Any:
        return fed.federated_sum(fed.federated_map(spread, stream)), fed.federated_sum(fed.federated_map(scaled, x))

    agree(totals, STREAMS, [1.0, 2.0, 3.0])
