"""What a federated computation cannot do is refused at the user's line, with what to do instead."""

# ruff: noqa: PLW0108 - a lambda is what is tested: it is traced, as what it calls would not be

import copy
import operator
import pickle
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import federated as fed
from federated.language import context_stack
from federated.language.errors import ExecutionError, MisuseError, OutsideComputationError, TypeMismatchError
from federated.language.origin import here, of_function
from tests.federated.numpy_computations import numpy_computation

INTS = fed.FederatedType(np.int32, fed.CLIENTS)
INT = fed.FederatedType(np.int32, fed.SERVER)


@numpy_computation(np.int32, np.int32)
def same(x: Any) -> Any:
    return x


BINARY = [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow,
    operator.matmul, operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift, operator.lt,
    operator.le, operator.gt, operator.ge, operator.eq, operator.ne, operator.iadd, operator.imul,
]  # fmt: skip
UNARY = [operator.neg, operator.invert, abs, bool, int, float, operator.not_]


@pytest.mark.parametrize("sign", BINARY)
def test_values_are_not_computed_with(sign: Any) -> None:
    for left, right in ((lambda x: x, lambda _: 1), (lambda _: 1, lambda x: x), (lambda x: x, lambda x: x)):
        with pytest.raises(MisuseError, match=r"does not work on a value of type {int32}@CLIENTS") as refusal:
            fed.federated_computation(lambda x, left=left, right=right: sign(left(x), right(x)), INTS)
        assert "fed.tf_computation" in str(refusal.value)
        assert "test_misuse.py" in str(refusal.value)


@pytest.mark.parametrize("sign", UNARY)
def test_values_are_no_numbers(sign: Any) -> None:
    with pytest.raises(MisuseError, match="does not work on a value"):
        fed.federated_computation(sign, INTS) if sign is abs else fed.federated_computation(lambda x: sign(x), INTS)


@pytest.mark.parametrize("function", [np.sum, np.asarray, lambda x: np.add(x, 1), lambda x: np.zeros(2) + x])
def test_numpy_does_not_take_values(function: Any) -> None:
    with pytest.raises(MisuseError, match=r"(NumPy|\+) ") as refusal:
        fed.federated_computation(lambda x: function(x), INTS)
    assert "test_misuse.py" in str(refusal.value)


def test_a_value_is_copied_as_itself_and_not_pickled() -> None:
    def copied(x: Any) -> Any:
        assert copy.copy(x) is x
        assert copy.deepcopy([x])[0] is x
        with pytest.raises(MisuseError, match=r"(?s)cannot be pickled.*serialize_computation"):
            pickle.dumps(x)
        return x

    assert fed.federated_computation(copied, INTS)([1]) == [1]


def test_a_value_decides_no_branch() -> None:
    with pytest.raises(MisuseError, match="bool"):
        fed.federated_computation(lambda x: 1 if x else 2, INT)


def test_a_value_that_left_its_computation_is_useless() -> None:
    leaked: list[Any] = []

    @fed.federated_computation(INT)
    def first(x: Any) -> Any:
        leaked.append(x)
        return x

    uses: list[Callable[[], Any]] = [
        lambda: fed.federated_computation(lambda: leaked[0]),
        lambda: fed.federated_computation(lambda: fed.federated_broadcast(leaked[0])),
        lambda: fed.federated_computation(lambda y: (y, leaked[0]), INT),
    ]
    for use in uses:
        with pytest.raises(OutsideComputationError, match="used outside the computation it belongs to"):
            use()


def test_a_value_of_an_inner_function_does_not_leave_it() -> None:
    leaked: list[Any] = []

    def outer(x: Any) -> Any:
        def kept(y: Any) -> Any:
            leaked.append(y)
            return y

        fed.federated_map(kept, x)
        return leaked[0]

    with pytest.raises(OutsideComputationError):
        fed.federated_computation(outer, INTS)


def test_a_computation_that_uses_values_around_it_does_not_leave_them() -> None:
    leaked: list[Any] = []

    @fed.federated_computation(np.int32)
    def outer(x: Any) -> Any:
        inner = fed.federated_computation(lambda: same(x))
        leaked.append(inner)
        return inner()

    assert outer(3) == 3
    for use in (
        lambda: leaked[0](),
        lambda: fed.federated_computation(lambda x: (same(x), leaked[0]()), np.int32),
        lambda: fed.serialize_computation(leaked[0]),
    ):
        with pytest.raises(OutsideComputationError, match="uses a value of type int32"):
            use()


def test_what_is_called_is_a_function() -> None:
    with pytest.raises(MisuseError, match="cannot be called"):
        fed.federated_computation(lambda x: x(1), np.int32)
    with pytest.raises(MisuseError, match="federated_map's fn must be a function, found a int"):
        fed.federated_computation(lambda x: fed.federated_map(3, x), INTS)
    with pytest.raises(MisuseError, match="must be a function, found a value of type int32@SERVER"):
        fed.federated_computation(lambda x: fed.federated_map(x, x), INT)


def test_an_argument_of_another_type_is_refused_with_both_types_and_the_line() -> None:
    with pytest.raises(TypeMismatchError) as refusal:
        fed.federated_computation(lambda x: same(x), np.float32)
    assert "expected: int32\n  found:    float32\n" in str(refusal.value)
    assert "test_misuse.py" in str(refusal.value)


def test_a_constant_is_not_placed_by_itself() -> None:
    inner = fed.federated_computation(lambda x: x, INT)
    with pytest.raises(TypeMismatchError, match=r"(?s)expected: int32@SERVER.*fed.federated_value\(…, fed.SERVER\)"):
        fed.federated_computation(lambda: inner(3))


def test_a_federated_computation_is_not_called_inside_a_local_one() -> None:
    federated = fed.federated_computation(lambda x: x, INT)
    with (
        context_stack.pushed(context_stack.LocalTrace()),
        pytest.raises(OutsideComputationError, match="called inside a local one"),
    ):
        federated(1)


def test_a_computation_that_failed_to_be_traced_leaves_nothing_behind() -> None:
    with pytest.raises(ZeroDivisionError):
        fed.federated_computation(lambda x: 1 // 0, INT)
    assert context_stack.frames() == ()
    assert fed.federated_computation(lambda x: x, INT)(1) == 1


def test_threads_trace_and_run_side_by_side() -> None:
    barrier = threading.Barrier(4)
    results: dict[int, Any] = {}

    def program(number: int) -> None:
        def body(x: Any) -> Any:
            barrier.wait()
            value = fed.federated_broadcast(x)
            barrier.wait()
            return value, fed.federated_value(number, fed.SERVER)

        with fed.local_context(clients=number):
            results[number] = fed.federated_computation(body, INT)(number)

    threads = [threading.Thread(target=program, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {number: (number, number) for number in range(4)}


def test_the_innermost_context_runs_a_computation() -> None:
    counted = fed.federated_computation(lambda: fed.federated_sum(fed.federated_value(1, fed.CLIENTS)))
    with fed.local_context(clients=2):
        assert counted() == 2
        with fed.local_context(clients=5):
            assert counted() == 5
        assert counted() == 2
    assert counted() == 0


def test_a_mean_over_clients_that_nobody_counted_says_how_to_count_them() -> None:
    mean = fed.federated_computation(
        lambda x: fed.federated_mean(fed.federated_broadcast(x)), fed.FederatedType(np.float32, fed.SERVER)
    )
    with pytest.raises(ExecutionError, match=r"fed.local_context\(clients=…\)"):
        mean(1.0)
    with fed.local_context(clients=3):
        assert mean(1.5) == 1.5


def test_an_origin_is_the_users_line() -> None:
    origin = here()
    assert origin is not None
    assert origin.code == "origin = here()"
    assert str(origin).startswith("test_misuse.py:")
    assert of_function(len) is None


def test_the_origin_of_a_function_is_below_its_decorators() -> None:
    @fed.federated_computation(
        INT,
    )
    def decorated(x: Any) -> Any:
        return x

    assert str(decorated.as_node().origin).endswith("def decorated(x: Any) -> Any:")
