"""TensorFlow code as local computations: typed, run, nested, mapped, and refused where it can't be one."""

# ruff: noqa: PLW0108 - a lambda is what is tested: it is traced, as what it calls would not be

import collections
import dataclasses
import functools
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import pytest

import federated as fed
from federated.language.errors import (
    ExecutionError,
    FederatedError,
    MisuseError,
    OutsideComputationError,
    TypeMismatchError,
)

tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.tensorflow

FLOATS = fed.FederatedType(np.float32, fed.CLIENTS)
INTS = fed.SequenceType(np.int32)


class Point(NamedTuple):
    y: Any
    x: Any


@dataclasses.dataclass
class Sample:
    label: Any
    image: Any


def _constant(value: Any) -> Any:
    return tf.constant(value)


def test_every_form_of_the_decorator_gives_the_same() -> None:
    def add(x: Any, y: Any) -> Any:
        return x + y

    forms = [
        fed.tf_computation(np.int32, np.int32)(add),
        fed.tf_computation(tf.int32, tf.TensorSpec([], tf.int32))(add),
        fed.tf_computation(add, np.int32, np.int32),
        fed.tf_computation([("x", np.int32), ("y", np.int32)])(add),
        fed.tf_computation(tf.function(add), np.int32, np.int32),
    ]
    for form in forms:
        assert str(form.type_signature) == "(<x=int32,y=int32> -> int32)"
        assert form(1, 2) == form(y=2, x=1) == form([1, 2]) == 3
    polymorphic = fed.tf_computation(add)
    assert polymorphic(1, 2) == 3
    assert polymorphic(1.5, 2.0) == 3.5
    assert polymorphic("a", "b") == "ab"


def test_a_function_of_nothing_is_traced_at_once() -> None:
    ten = fed.tf_computation(lambda: tf.constant(10))
    assert str(ten.type_signature) == "( -> int32)"
    assert ten() == 10
    assert fed.tf_computation()(lambda: 10)() == 10


@pytest.mark.parametrize(
    "value",
    [
        (1, 2.0), [1, 2.0], {"b": 1, "a": 2.0}, collections.OrderedDict(b=1, a=2.0), Point(1, 2.0),
        Sample(1, {"z": 2.0, "y": (1, [2])}), fed.Struct([("b", 1), ("a", 2.0)]),
    ],
)  # fmt: skip
def test_structures_come_in_and_go_out_in_their_containers(value: Any) -> None:
    seen: list[Any] = []

    @fed.tf_computation
    def identity(x: Any) -> Any:
        seen.append(type(x))
        return x

    result = identity(value)
    assert result == value
    assert type(result) is type(value)
    assert seen[0] is type(value)


@pytest.mark.parametrize(
    "dtype", [np.bool_, np.int8, np.uint8, np.int64, np.float16, np.float64, np.complex64, np.str_]
)
def test_every_dtype_goes_through(dtype: Any) -> None:
    identity = fed.tf_computation(lambda x: tf.identity(x), (dtype, [2]))
    value = np.array(["a", "é"]) if dtype is np.str_ else np.array([1, 0]).astype(dtype)
    result = identity(value)
    np.testing.assert_array_equal(result, value)
    assert str(identity.type_signature.result) == f"{fed.TensorType(dtype)}[2]"


def test_a_size_that_is_not_known_is_any_size() -> None:
    total = fed.tf_computation(lambda x: (tf.reduce_sum(x), x), (np.float32, [None, 2]))
    assert str(total.type_signature) == "(float32[?,2] -> <float32,float32[?,2]>)"
    assert total(np.ones([3, 2]))[0] == 6
    assert total(np.ones([0, 2]))[0] == 0


def test_a_sequence_is_a_data_set_inside_and_a_list_outside() -> None:
    @fed.tf_computation(INTS)
    def doubled(numbers: Any) -> Any:
        assert isinstance(numbers, tf.data.Dataset)
        return numbers.map(lambda x: x * 2), numbers.batch(2), numbers.reduce(0, lambda total, x: total + x)

    assert str(doubled.type_signature) == "(int32* -> <int32*,int32[?]*,int32>)"
    for given in ([1, 2, 3], iter([1, 2, 3]), tf.data.Dataset.range(1, 4).map(lambda x: tf.cast(x, tf.int32))):
        twice, batches, total = doubled(given)
        assert twice == [2, 4, 6]
        assert [batch.tolist() for batch in batches] == [[1, 2], [3]]
        assert total == 6
    assert doubled([]) == ([], [], 0)


@pytest.mark.parametrize(
    "element",
    [
        {"b": 1, "a": 2.0},
        collections.OrderedDict(b=1, a=2.0),
        (1, 2.0),
        Point(1, 2.0),
        {"z": {"y": 1, "x": 2.0}, "a": (3, "s")},
    ],
)
def test_elements_keep_their_names_and_order(element: Any) -> None:
    """TensorFlow sorts the names of a dict; the language keeps them as they were written."""
    type_ = fed.federated_computation(lambda: element).type_signature.result

    @fed.tf_computation(fed.SequenceType(type_))
    def both(elements: Any) -> Any:
        return elements, elements.map(lambda *xs: xs if len(xs) > 1 else xs[0])

    first, second = both([element, element])
    assert first == second == [element, element]
    loaded = fed.deserialize_computation(fed.serialize_computation(both))
    assert loaded([element]) == ([element], [element])
    at_clients = fed.FederatedType(fed.SequenceType(type_), fed.CLIENTS)
    assert fed.federated_computation(lambda xs: fed.federated_map(both, xs), at_clients)([[element]]) == [
        ([element], [element])
    ]


def test_rows_of_different_sizes_are_elements_too() -> None:
    sizes = fed.tf_computation(lambda rows: rows.map(tf.size), fed.SequenceType((np.float32, [None])))
    assert sizes([[1.0], [], [1.0, 2.0]]) == [1, 0, 2]


def test_local_computations_call_each_other_as_python_functions() -> None:
    add = fed.tf_computation(lambda x, y: x + y, np.int32, np.int32)
    ten = fed.tf_computation(lambda: 10)
    twice = fed.tf_computation(lambda x: add(x, x))
    nested = fed.tf_computation(
        lambda x: (add(x, ten()), add(y=ten(), x=x), add([x, x]), twice(x), twice(1.5)), np.int32
    )
    assert nested(1) == (11, 11, [1, 1][0] + 1, 2, 3.0)
    loaded = fed.deserialize_computation(fed.serialize_computation(add))
    assert fed.tf_computation(lambda x: loaded(x, x) + loaded(y=x, x=1), np.int32)(3) == 10


def test_a_local_computation_is_mapped_at_both_placements() -> None:
    half = fed.tf_computation(lambda x: x / 2)
    computation = fed.federated_computation(
        lambda x, y: (
            fed.federated_map(half, x),
            fed.federated_map(half, y),
            fed.federated_eval(fed.tf_computation(lambda: 1), fed.SERVER),
        ),
        FLOATS,
        fed.FederatedType(np.float32, fed.SERVER),
    )
    assert computation([1.0, 2.0], 3.0) == ([0.5, 1.0], 1.5, 1)


def test_a_variable_belongs_to_one_call() -> None:
    @fed.tf_computation((np.float32, [2]))
    def trained(x: Any) -> Any:
        weights = tf.Variable(x, name="weights")
        count = tf.Variable(0, dtype=tf.int32, trainable=False)

        @tf.function  # type: ignore[untyped-decorator]
        def step() -> None:
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(weights**2)
            assert [variable.ref() for variable in tape.watched_variables()] == [weights.ref()]
            weights.assign_sub(0.25 * tape.gradient(loss, weights))
            count.assign_add(1)

        for _ in range(3):
            step()
        return weights, count

    assert str(trained.type_signature) == "(float32[2] -> <float32[2],int32>)"
    loaded = fed.deserialize_computation(fed.serialize_computation(trained))
    for computation in (trained, loaded, trained):
        weights, count = computation([8.0, 16.0])
        assert (weights.tolist(), count) == ([1.0, 2.0], 3)


def test_calls_in_many_threads_have_variables_of_their_own() -> None:
    @fed.tf_computation(np.int32)
    def counted(start: Any) -> Any:
        total = tf.Variable(start)
        for _ in range(20):
            total.assign_add(1)
        return total

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(counted, range(64))) == list(range(20, 84))


def test_an_optimizer_of_keras_belongs_to_one_call_too() -> None:
    @fed.tf_computation(np.float32, np.float32)
    def stepped(weight: Any, gradient: Any) -> Any:
        optimizer = tf.keras.optimizers.SGD(0.5, momentum=0.9)
        variable = tf.Variable(weight)
        for _ in range(2):
            optimizer.apply_gradients([(gradient, variable)])
        return variable, optimizer.iterations

    for _ in range(2):
        weight, iterations = stepped(1.0, 1.0)
        assert (weight, iterations) == (pytest.approx(1 - 0.5 - 0.95), 2)


def test_layers_of_keras_are_refused_with_the_names_of_their_weights() -> None:
    with pytest.raises(MisuseError, match=r"(?s)uses the variable kernel:0, bias:0.*take its value as an argument"):
        fed.tf_computation(lambda x: tf.keras.layers.Dense(2)(x), (np.float32, [1, 3]))


def test_strings_are_text_and_bytes_that_are_none_are_refused() -> None:
    texts = fed.tf_computation(lambda: (tf.constant("é"), tf.constant([["a"], ["b"]])))
    assert texts()[0] == "é"
    assert texts()[1].tolist() == [["a"], ["b"]]
    for value in (b"\xff", b"a\0"):
        with pytest.raises(ExecutionError, match=r"(?s)a result: .*encode_base64"):
            fed.tf_computation(functools.partial(_constant, value))()


def test_a_variable_from_outside_is_refused() -> None:
    shared = tf.Variable(1.0, name="shared")
    with pytest.raises(MisuseError, match=r"(?s)uses the variable shared:0.*every client would share.*in the function"):
        fed.tf_computation(lambda x: shared.assign_add(x), np.float32)


def test_random_numbers_differ_between_clients() -> None:
    noise = fed.tf_computation(lambda x: x + tf.random.uniform([]), np.float32)
    values = fed.federated_computation(lambda x: fed.federated_map(noise, x), FLOATS)([0.0] * 8)
    assert len(set(values)) > 1


def test_what_tensorflow_refuses_at_run_time_is_our_error_with_the_users_line() -> None:
    @fed.tf_computation(np.float32)
    def checked(x: Any) -> Any:
        tf.debugging.assert_positive(x, "only positive readings")
        return x

    program = fed.federated_computation(lambda x: fed.federated_map(checked, x), FLOATS)
    for computation in (program, fed.deserialize_computation(fed.serialize_computation(program))):
        with pytest.raises(
            ExecutionError, match=r"(?s)'checked' failed:.*only positive readings.*at test_tf_computation.py"
        ):
            computation([1.0, -1.0])


def test_what_python_raises_while_tracing_names_the_local_computation() -> None:
    with pytest.raises(ValueError, match="must be equal") as failure:
        fed.tf_computation(lambda x, y: x + y, (np.float32, [2]), (np.float32, [3]))
    assert "in the local computation '<lambda>', test_tf_computation.py" in "".join(failure.value.__notes__)


def test_a_local_computation_holds_nothing_federated() -> None:
    with pytest.raises(MisuseError, match=r"(?s)takes tensors.*found {float32}@CLIENTS.*federated_computation"):
        fed.tf_computation(lambda x: x, FLOATS)
    federated = fed.federated_computation(lambda x: x, fed.FederatedType(np.float32, fed.SERVER))
    with pytest.raises(OutsideComputationError, match="called inside a local one"):
        fed.tf_computation(lambda x: federated(x), np.float32)
    with pytest.raises(OutsideComputationError, match="was called in a local computation"):
        fed.tf_computation(lambda x: fed.federated_sum(x), np.float32)


def test_a_federated_value_is_no_tensor_wherever_tensorflow_meets_it() -> None:
    for function in (
        tf.abs,
        lambda x: tf.constant(1.0) + x,
        lambda x: tf.constant(x),
        lambda x: tf.stack([x, x]),
        tf.identity,
    ):
        with pytest.raises(MisuseError, match="does not work on a value of type") as refusal:
            fed.federated_computation(
                lambda x, function=function: function(x), fed.FederatedType(np.float32, fed.SERVER)
            )
        assert "at test_tf_computation.py" in str(refusal.value)


def test_a_federated_value_is_not_captured_by_a_local_computation() -> None:
    with pytest.raises(MisuseError, match=r"TensorFlow does not work on a value|does not work"):
        fed.federated_computation(lambda x: fed.tf_computation(lambda: tf.identity(x))(), np.float32)


def test_a_tensor_is_no_value_of_a_federated_computation() -> None:
    with pytest.raises(MisuseError, match=r"TensorFlow belongs into a function decorated with @fed.tf_computation"):
        fed.federated_computation(lambda: tf.constant(1.0))
    with pytest.raises(FederatedError, match=r"belongs into|no tensor|cannot hold"):
        fed.federated_computation(lambda: tf.data.Dataset.range(3))


@pytest.mark.parametrize("result", [None, object(), lambda: 1])
def test_a_local_computation_gives_tensors(result: Any) -> None:
    with pytest.raises(MisuseError, match="a local computation gives"):
        fed.tf_computation(lambda: result)


def test_an_argument_of_another_type_is_refused_before_tensorflow_sees_it() -> None:
    half = fed.tf_computation(lambda x: x / 2, np.float32)
    with pytest.raises(TypeMismatchError, match="expected: float32"):
        fed.federated_computation(lambda x: half(x), np.int32)
    with pytest.raises(FederatedError, match="expected float32"):
        half("text")


def test_eager_tensors_are_values() -> None:
    half = fed.tf_computation(lambda x: x / 2)
    assert half(tf.constant(3.0)) == 1.5
    assert str(fed.federated_computation(lambda x: x)(tf.constant([1, 2]))) == "[1 2]"
    total = fed.federated_computation(fed.federated_sum, FLOATS)
    assert total([tf.constant(1.0), 2.0]) == 3.0
