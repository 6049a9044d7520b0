"""Every operator gives the same as a plan as it does in the local context."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import federated as fed
from federated.language.errors import ExecutionError
from tests.federated.contexts.agreement import agree

pytestmark = pytest.mark.tensorflow

FLOATS = fed.FederatedType(np.float32, fed.CLIENTS)
INTS = fed.FederatedType(np.int32, fed.CLIENTS)
VECTORS = fed.FederatedType((np.float32, [3]), fed.CLIENTS)
NUMBER = fed.FederatedType(np.float32, fed.SERVER)


@fed.tf_computation
def add(a: Any, b: Any) -> Any:
    return a + b


def test_every_aggregation_of_floats() -> None:
    @fed.federated_computation(VECTORS, FLOATS)
    def aggregates(x: Any, w: Any) -> Any:
        return {
            "sum": fed.federated_sum(x),
            "mean": fed.federated_mean(x),
            "weighted": fed.federated_mean(x, w),
            "min": fed.federated_min(x),
            "max": fed.federated_max(x),
        }

    agree(aggregates, [[1.0, -2.5, 3e-8], [4.0, 1e7, 0.1], [0.3, 0.0, 0.2]], [1.0, 0.5, 2.0])


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint8])
def test_every_aggregation_of_integers(dtype: Any) -> None:
    @fed.federated_computation(fed.FederatedType((dtype, [2]), fed.CLIENTS))
    def aggregates(x: Any) -> Any:
        return fed.federated_sum(x), fed.federated_min(x), fed.federated_max(x)

    most = 80 if dtype is np.uint8 else np.iinfo(dtype).max // 4
    agree(aggregates, [[1, most], [0, most], [3, 2]])


def test_bools_reach_clients_and_come_back() -> None:
    @fed.tf_computation
    def both(a: Any, b: Any) -> Any:
        return tf.cast(tf.logical_and(a, b), tf.int32)

    @fed.tf_computation
    def is_most(total: Any) -> Any:
        return total > 1

    @fed.federated_computation(
        fed.FederatedType((np.bool_, [2]), fed.CLIENTS), fed.FederatedType((np.bool_, [2]), fed.SERVER)
    )
    def votes(cast: Any, allowed: Any) -> Any:
        counted = fed.federated_sum(fed.federated_map(both, (cast, fed.federated_broadcast(allowed))))
        return fed.federated_map(is_most, counted), allowed

    agree(votes, [[True, True], [True, False], [True, True]], [True, False])


def test_values_and_evaluations_at_both_placements() -> None:
    @fed.tf_computation
    def seven() -> Any:
        return tf.constant(7.0)

    @fed.federated_computation(FLOATS)
    def placed(x: Any) -> Any:
        constant = fed.federated_value({"a": 2.0, "b": (1, [3, 4])}, fed.CLIENTS)
        at_clients = fed.federated_map(add, (fed.federated_eval(seven, fed.CLIENTS), x))
        return (
            fed.federated_sum(at_clients),
            fed.federated_sum(constant),
            fed.federated_value((1.0, 2), fed.SERVER),
            fed.federated_eval(seven, fed.SERVER),
        )

    agree(placed, [1.0, 2.0])


def test_the_clients_are_counted_without_any_data_of_theirs() -> None:
    @fed.federated_computation
    def cohort() -> Any:
        return fed.federated_sum(fed.federated_value(1, fed.CLIENTS))

    assert agree(cohort, clients=5) == 5


def test_select_gives_each_client_its_slices() -> None:
    @fed.tf_computation
    def row(table: Any, key: Any) -> Any:
        return {"row": tf.gather(table, key), "key": tf.cast(key, tf.float32)}

    @fed.tf_computation
    def weighed(total: Any, slice_: Any) -> Any:
        return total + slice_["row"] * (1.0 + slice_["key"])

    keys = fed.FederatedType((np.int32, [2]), fed.CLIENTS)
    limit, table = fed.FederatedType(np.int32, fed.SERVER), fed.FederatedType((np.float32, [4, 3]), fed.SERVER)

    @fed.federated_computation(keys, limit, table)
    def selected(client_keys: Any, most: Any, weights: Any) -> Any:
        slices = fed.federated_select(client_keys, most, weights, row)
        return (
            fed.federated_sum(fed.sequence_reduce(slices, np.zeros(3, np.float32), weighed)),
            fed.federated_mean(fed.sequence_sum(fed.sequence_map(lambda one: one["row"], slices))),
        )

    agree(selected, [[0, 3], [1, 1], [2, 0]], 4, np.arange(12, dtype=np.float32).reshape(4, 3))


def test_secure_sums_are_the_sums() -> None:
    @fed.federated_computation(INTS, INTS)
    def secure(x: Any, y: Any) -> Any:
        return (
            fed.federated_secure_sum(x, 100),
            fed.federated_secure_sum_bitwidth((x, y), (7, 8)),
            fed.federated_secure_modular_sum(y, 256),
        )

    agree(secure, [1, 100, 0], [200, 100, 7])


def test_a_custom_aggregation_of_structures() -> None:
    @fed.tf_computation
    def accumulate(total: Any, one: Any) -> Any:
        return {
            "n": total["n"] + 1,
            "s": total["s"] + one["x"] * tf.cast(one["k"], tf.float32),
            "any": total["any"] | (one["k"] > 2),
        }

    @fed.tf_computation
    def merge(a: Any, b: Any) -> Any:
        return {"n": a["n"] + b["n"], "s": a["s"] + b["s"], "any": a["any"] | b["any"]}

    @fed.tf_computation
    def report(total: Any) -> Any:
        return total["s"] / tf.cast(tf.maximum(total["n"], 1), tf.float32), total["any"]

    @fed.federated_computation(VECTORS, INTS)
    def custom(x: Any, k: Any) -> Any:
        zero = {"n": 0, "s": np.zeros(3, np.float32), "any": False}
        value = fed.federated_zip({"x": x, "k": k})
        return fed.federated_aggregate(value, zero, accumulate, merge, report)

    agree(custom, [[1.0, 2.0, 3.0], [0.5, 0.0, -1.0]], [2, 3])
    agree(custom, [], [])


def test_a_custom_aggregation_of_plain_functions() -> None:
    @fed.federated_computation(FLOATS)
    def custom(x: Any) -> Any:
        return fed.federated_aggregate(x, 0.0, add, lambda a, b: add(b, a), lambda a: (a, add(a, a)))

    agree(custom, [1.0, 2.0, 4.0])


def test_a_weight_of_zero_counts_for_nothing_even_beside_nan() -> None:
    @fed.tf_computation
    def inverse(x: Any) -> Any:
        return 1.0 / x, tf.cast(x > 0.0, tf.float32)

    @fed.federated_computation(FLOATS)
    def mean(x: Any) -> Any:
        pair = fed.federated_map(inverse, x)
        return fed.federated_mean(pair[0], pair[1])

    assert agree(mean, [2.0, 0.0, 4.0]) == pytest.approx(0.375)


@pytest.mark.parametrize("dtype", [np.int32, np.uint8, np.int64])
def test_weights_are_numbers_of_any_kind(dtype: Any) -> None:
    @fed.federated_computation(VECTORS, fed.FederatedType(dtype, fed.CLIENTS))
    def mean(x: Any, weight: Any) -> Any:
        return fed.federated_mean(x, weight)

    agree(mean, [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], [1, 3])


def test_a_mean_of_nobody_is_an_error_or_nan_as_the_program_says() -> None:
    @fed.federated_computation(FLOATS)
    def strict(x: Any) -> Any:
        return fed.federated_mean(x)

    @fed.federated_computation(FLOATS)
    def lenient(x: Any) -> Any:
        return fed.federated_mean(x, on_zero_weight="nan"), fed.federated_sum(x), fed.federated_min(x)

    for context in (fed.local_context(), fed.plan_context()):
        with context, pytest.raises(ExecutionError):
            strict([])
    agree(lenient, [])


def test_a_weight_may_be_a_constant() -> None:
    @fed.federated_computation(FLOATS)
    def mean(x: Any) -> Any:
        return fed.federated_mean(x, fed.federated_value(2.0, fed.CLIENTS))

    assert agree(mean, [1.0, 2.0]) == 1.5


def test_a_constant_that_a_local_computation_makes_is_known_everywhere() -> None:
    @fed.federated_computation(FLOATS)
    def constants(x: Any) -> Any:
        zero, five = fed.tf_computation(lambda: tf.zeros([]))(), add(2.0, 3.0)
        at_clients = fed.federated_value(five, fed.CLIENTS)
        total = fed.federated_aggregate(x, zero, add, add, lambda a: add(a, a))
        return (
            total,
            five,
            fed.federated_sum(fed.federated_map(add, (x, at_clients))),
            fed.federated_value(five, fed.SERVER),
        )

    agree(constants, [1.0, 2.0])


def test_aggregates_of_no_tensors() -> None:
    @fed.federated_computation(fed.FederatedType([], fed.CLIENTS), FLOATS)
    def hollow(x: Any, y: Any) -> Any:
        return fed.federated_mean(x), fed.federated_sum(x), fed.federated_max(x), fed.federated_sum(y)

    agree(hollow, [[], []], [1.0, 2.0])


def test_the_extremes_of_nobody() -> None:
    @fed.federated_computation(
        fed.FederatedType((np.uint8, [2]), fed.CLIENTS), fed.FederatedType(np.int64, fed.CLIENTS)
    )
    def extremes(x: Any, y: Any) -> Any:
        return fed.federated_min((x, y)), fed.federated_max((x, y))

    agree(extremes, [], [])
