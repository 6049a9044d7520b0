"""The plan context compiles once for each shape, and runs as the local context does what no device has a part in."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import federated as fed
from federated.contexts.plan import PlanContext
from federated.language.context_stack import pushed
from federated.language.errors import ExecutionError
from tests.federated.contexts.agreement import agree

pytestmark = pytest.mark.tensorflow

FLOATS = fed.FederatedType(np.float32, fed.CLIENTS)
NUMBER = fed.FederatedType(np.float32, fed.SERVER)
INDEX = fed.FederatedType(np.int32, fed.CLIENTS)


@fed.tf_computation
def add(a: Any, b: Any) -> Any:
    return a + b


def _of_each(work: Any, type_: Any) -> Any:
    each = fed.tf_computation(type_.member)(work)
    return fed.federated_computation(type_)(lambda x: fed.federated_sum(fed.federated_map(each, x)))


def test_a_server_alone_is_run_in_the_local_way() -> None:
    @fed.federated_computation(NUMBER, fed.FederatedType((np.str_, [None]), fed.SERVER))
    def server(state: Any, names: Any) -> Any:
        longest = fed.federated_map(fed.tf_computation(lambda n: tf.reduce_max(tf.strings.length(n))), names)
        return fed.federated_map(add, (state, state)), longest, fed.federated_value(1, fed.SERVER)

    agree(server, 2.0, ["a", "abc"])


def test_an_aggregate_that_nobody_needs_is_not_computed() -> None:
    @fed.federated_computation(NUMBER, FLOATS)
    def unused(state: Any, x: Any) -> Any:
        fed.federated_sum(x)
        return state

    agree(unused, 2.0, [1.0, 2.0])


def test_what_has_nothing_federated_in_it_is_run_as_it_is() -> None:
    assert agree(add, 1, 2) == 3
    assert agree(fed.federated_computation(np.int32)(lambda x: add(x, x)), 4) == 8


def test_a_computation_is_compiled_once_for_each_shape() -> None:
    total = _of_each(tf.reduce_sum, fed.FederatedType((np.float32, [None]), fed.CLIENTS))
    values: list[Any] = [[[1.0, 2.0]], [[1.0, 2.0], [3.0, 4.0]], [[1.0]], [[5.0, 6.0]]]
    context = PlanContext()
    with pushed(context):
        assert [total(value) for value in values] == [3, 10, 1, 11]
    assert context.compilations == 2


def test_results_do_not_depend_on_the_order_in_which_threads_end() -> None:
    @fed.federated_computation(FLOATS)
    def last(x: Any) -> Any:
        return fed.federated_aggregate(x, 0.0, lambda a, v: v, lambda a, b: b, lambda a: a), fed.federated_sum(x)

    agree(last, list(np.linspace(-1e3, 1e3, 101, dtype=np.float32)))


def test_a_client_that_is_refused_is_named() -> None:
    total = _of_each(lambda x: 1.0 / x, FLOATS)
    with fed.plan_context(), pytest.raises(ExecutionError, match="client 1"):
        total([1.0, 0.0, 2.0])


def test_a_sum_that_does_not_fit_its_dtype_is_refused() -> None:
    total = fed.federated_computation(INDEX)(fed.federated_sum)
    for context in (fed.local_context(), fed.plan_context()):
        with context, pytest.raises(ExecutionError):
            total([2**31 - 1, 1])


# Random numbers mean nothing to these; a plan is held against TensorFlow with others, where there are any.
@pytest.mark.parametrize(
    ("work", "type_", "values"),
    [
        pytest.param(lambda n: 12 // n, INDEX, [3, 4], id="integer_division"),
        pytest.param(lambda n: tf.gather([1.0, 2.0, 4.0], n - 5), INDEX, [5, 7], id="an_index_with_an_offset"),
        pytest.param(lambda n: tf.gather([3.0], n), INDEX, [0, 0], id="an_index_of_one_element"),
        pytest.param(lambda x: tf.math.log(x) + tf.sqrt(x), FLOATS, [0.5, 2.0], id="logarithm"),
        pytest.param(lambda x: tf.cast(10.0 * tf.math.log(x), tf.int32), FLOATS, [0.5, 2.0], id="cast_of_nan"),
        pytest.param(lambda x: tf.exp(100.0 * x), FLOATS, [0.1, 0.2], id="overflow"),
    ],
)
def test_functions_of_a_narrow_domain_can_be_compiled(work: Any, type_: Any, values: Any) -> None:
    agree(_of_each(work, type_), values)


def test_a_long_chain_and_a_wide_graph_of_local_computations() -> None:
    @fed.federated_computation(FLOATS)
    def chain(x: Any) -> Any:
        value = x
        for _ in range(60):
            value = fed.federated_map(add, (value, x))
        for _ in range(40):
            value = fed.federated_map(fed.tf_computation(lambda a, b: (a + b) / 2.0), (value, value))
        return fed.federated_sum(value)

    agree(chain, [1.0, 2.0])
