"""A Python function becomes a computation: in every form that TensorFlow Federated has, and called in every way."""

# ruff: noqa: PLW0108 - a lambda is what is tested: it is traced, as what it calls would not be

import collections
import copy
import dataclasses
import functools
from typing import Any, NamedTuple

import numpy as np
import pytest

import federated as fed
from federated.language.computation import Computation
from federated.language.errors import FederatedError, MisuseError, TypeMismatchError, ValueMismatchError
from tests.federated.numpy_computations import numpy_computation

FLOATS = fed.FederatedType(np.float32, fed.CLIENTS)
FLOAT = fed.FederatedType(np.float32, fed.SERVER)
INTS = fed.FederatedType(np.int32, fed.CLIENTS)
_NUMBER: Any = 3


@numpy_computation([("x", np.int32), ("y", np.int32)], np.int32)
def subtract(x: Any, y: Any) -> Any:
    return np.int32(x - y)


def test_a_decorated_function_has_its_parameters_names_in_its_type() -> None:
    @fed.federated_computation(FLOATS, FLOAT)
    def pair(readings: Any, threshold: Any) -> Any:
        return readings, threshold

    assert isinstance(pair, Computation)
    assert pair.__name__ == "pair"
    assert pair.parameter_names == ("readings", "threshold")
    assert str(pair.type_signature) == (
        "(<readings={float32}@CLIENTS,threshold=float32@SERVER> -> <{float32}@CLIENTS,float32@SERVER>)"
    )
    assert repr(pair) == f"<pair: {pair.type_signature}>"


def test_one_parameter_is_the_whole_parameter_and_has_no_name_in_the_type() -> None:
    assert (
        str(fed.federated_computation(FLOATS)(lambda x: x).type_signature) == "({float32}@CLIENTS -> {float32}@CLIENTS)"
    )
    assert str(fed.federated_computation(lambda x: x, (np.int32, np.str_)).type_signature) == (
        "(<int32,str> -> <int32,str>)"
    )


def test_a_function_without_parameters_is_traced_at_once_in_every_form() -> None:
    def one() -> Any:
        return fed.federated_value(1, fed.SERVER)

    for form in (fed.federated_computation(one), fed.federated_computation()(one)):
        assert str(form.type_signature) == "( -> int32@SERVER)"
        assert form() == 1


def test_the_function_may_come_first() -> None:
    computation = fed.federated_computation(lambda x, y: subtract(x, y), np.int32, np.int32)
    assert str(computation.type_signature) == "(<x=int32,y=int32> -> int32)"
    assert computation(5, 3) == 2


def test_a_structure_of_as_many_elements_is_spread_over_the_parameters() -> None:
    by_name = fed.federated_computation([("a", np.int32), ("b", np.int32)])(lambda x, y: subtract(x, y))
    assert str(by_name.type_signature) == "(<a=int32,b=int32> -> int32)"
    assert by_name(5, 3) == by_name(a=5, b=3) == by_name(b=3, a=5) == by_name((5, 3)) == by_name({"b": 3, "a": 5}) == 2


def test_any_number_of_parameters_takes_all_types() -> None:
    computation = fed.federated_computation(lambda *xs: subtract(xs[0], xs[1]), np.int32, np.int32)
    assert str(computation.type_signature) == "(<int32,int32> -> int32)"
    assert computation(5, 3) == 2


def test_a_default_is_taken_where_no_type_is_declared() -> None:
    mean = fed.federated_computation(fed.federated_mean, FLOATS)
    assert mean([1.0, 2.0]) == 1.5


def test_a_partial_function_and_a_callable_object_are_functions() -> None:
    partial = fed.federated_computation(functools.partial(lambda x, y: subtract(y, x), 1), np.int32)
    assert partial(3) == 2

    class Twice:
        def __call__(self, x: Any) -> Any:
            return subtract(x, subtract(0, x))

    assert fed.federated_computation(Twice(), np.int32)(4) == 8


def test_without_types_every_type_of_arguments_gives_a_computation_of_its_own() -> None:
    traced: list[str] = []

    @fed.federated_computation
    def identity(x: Any) -> Any:
        traced.append(str(x.type_signature))
        return x

    assert type(identity).__name__ == "Polymorphic"
    assert identity(1) == 1
    assert identity(2) == 2
    assert identity(1.5) == 1.5
    assert identity("text") == "text"
    assert identity([1, {"a": True}]) == [1, {"a": True}]
    assert identity(np.zeros([2, 3], np.float16)).dtype == np.float16
    assert traced == ["int32", "float32", "str", "<int32,<a=bool>>", "float16[2,3]"]


def test_a_polymorphic_function_has_no_type_of_its_own() -> None:
    identity = fed.federated_computation(lambda x: x)

    assert not hasattr(identity, "type_signature")
    with pytest.raises(AttributeError, match="no declared types, and so no type of its own"):
        _ = identity.type_signature


def test_a_polymorphic_call_by_name_is_in_the_order_of_the_parameters() -> None:
    difference = fed.federated_computation(lambda x, y: subtract(x, y))
    assert difference(5, 3) == difference(x=5, y=3) == difference(y=3, x=5) == difference(5, y=3) == 2
    with pytest.raises(MisuseError, match="missing a required argument: 'y'"):
        difference(5)


def test_a_polymorphic_function_is_traced_at_the_type_that_it_is_mapped_over() -> None:
    @fed.federated_computation
    def both(x: Any) -> Any:
        return x, x

    pairs = fed.federated_computation(
        lambda x, y: (fed.federated_map(both, x), fed.federated_map(both, y)), INTS, FLOAT
    )
    assert str(pairs.type_signature.result) == "<{<int32,int32>}@CLIENTS,<float32,float32>@SERVER>"
    assert pairs([1], 2.0) == ([(1, 1)], (2.0, 2.0))


def test_computations_nest_and_see_the_values_around_them() -> None:
    @fed.federated_computation(np.int32, np.int32)
    def outer(x: Any, y: Any) -> Any:
        @fed.federated_computation(np.int32)
        def minus_y(z: Any) -> Any:
            return subtract(z, y)

        return minus_y(minus_y(x)), subtract(x, y)

    assert outer(10, 3) == (4, 7)


def test_a_computation_is_called_by_position_by_name_or_with_all_at_once() -> None:
    @fed.federated_computation(np.int32, np.int32)
    def outer(x: Any, y: Any) -> Any:
        by_position = [subtract(x, y), subtract(x, 1)]
        by_name = [subtract(x=x, y=y), subtract(y=y, x=x), subtract(x, y=y)]
        return by_position, by_name, [subtract([x, y]), subtract({"y": y, "x": x})]

    assert outer(5, 3) == ([2, 4], [2, 2, 2], [2, 2])


def test_one_parameter_may_be_given_by_its_name() -> None:
    @fed.federated_computation(FLOATS)
    def mean(readings: Any) -> Any:
        return fed.federated_mean(readings)

    assert mean(readings=[1.0, 2.0]) == 1.5
    assert fed.federated_computation(lambda x: mean(readings=x), FLOATS)(x=[1.0, 2.0]) == 1.5
    pair = fed.federated_computation(lambda pair: pair, [("first", np.int32), ("second", np.int32)])
    assert pair(pair=(1, 2)) == pair(first=1, second=2) == pair((1, 2)) == fed.Struct.named(first=1, second=2)
    with pytest.raises(MisuseError, match="expected one argument"):
        mean(reading=[1.0])


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((1,), {}, "lack y"),
        ((), {}, "lack x, y"),
        ((1, 2, 3), {}, "expected 2 arguments, found 3"),
        ((1,), {"x": 2}, "'x' is given twice"),
        ((1,), {"z": 2}, "no parameter 'z'; there are x, y"),
    ],
)
def test_a_call_with_the_wrong_arguments_says_which(args: Any, kwargs: Any, message: str) -> None:
    with pytest.raises(MisuseError, match=message):
        subtract(*args, **kwargs)
    with pytest.raises(MisuseError, match=message):
        fed.federated_computation(lambda: subtract(*args, **kwargs))


def test_a_computation_of_nothing_takes_nothing() -> None:
    nothing = fed.federated_computation(lambda: fed.federated_value(1, fed.SERVER))
    with pytest.raises(MisuseError, match="expected no arguments, found 1"):
        nothing(1)


def test_the_number_of_types_is_that_of_the_parameters() -> None:
    with pytest.raises(MisuseError, match=r"takes \(x, y\), but 3 types are declared: int32, int32, str"):
        fed.federated_computation(lambda x, y: x, np.int32, np.int32, np.str_)
    with pytest.raises(MisuseError, match="decorates a function, found a int"):
        fed.federated_computation(np.int32)(_NUMBER)


def test_a_function_that_returns_nothing_is_refused_at_its_own_line() -> None:
    def nothing(x: Any) -> None:
        pass

    with pytest.raises(MisuseError, match="nothing returns nothing") as refusal:
        fed.federated_computation(np.int32)(nothing)
    assert ": def nothing(x: Any) -> None:" in str(refusal.value)


def test_a_function_may_return_only_what_a_computation_can_hold() -> None:
    for result in (object(), {1, 2}, iter([1])):
        with pytest.raises(FederatedError, match="cannot hold a"):
            fed.federated_computation(functools.partial(copy.copy, result))
    with pytest.raises(FederatedError, match="names of a structure are strings"):
        fed.federated_computation(lambda: {1: 2})


class Reading(NamedTuple):
    value: Any
    unit: Any


@dataclasses.dataclass
class Station:
    name: Any
    readings: Any


@pytest.mark.parametrize(
    "value",
    [
        (1, 2.0),
        [1, 2.0],
        {"b": 1, "a": 2.0},
        collections.OrderedDict(b=1, a=2.0),
        Reading(1, "kelvin"),
        Station("north", [1.0, 2.0]),
        Station(Reading(1, "a"), {"x": (1, [2, 3])}),
        fed.Struct([("a", 1), (None, 2.0)]),
        (),
        [[], ()],
    ],
)
def test_containers_come_back_as_they_were_given(value: Any) -> None:
    @fed.federated_computation
    def identity(x: Any) -> Any:
        return x

    result = identity(value)
    assert result == value
    assert type(result) is type(value)
    rebuilt = fed.federated_computation(lambda: value)()
    assert rebuilt == value
    assert type(rebuilt) is type(value)


def test_the_container_of_the_declared_type_is_what_comes_back() -> None:
    identity = fed.federated_computation(lambda x: x, Reading(np.int32, np.str_))
    for given in (Reading(1, "a"), (1, "a"), [1, "a"], {"unit": "a", "value": 1}):
        assert identity(given) == Reading(1, "a")
        assert type(identity(given)) is Reading


def test_client_values_come_back_in_their_containers() -> None:
    identity = fed.federated_computation(lambda x: x, fed.FederatedType(Reading(np.int32, np.str_), fed.CLIENTS))
    assert identity([Reading(1, "a"), {"value": 2, "unit": "b"}]) == [Reading(1, "a"), Reading(2, "b")]


def test_a_value_is_selected_from_by_name_by_position_and_by_slice() -> None:
    @fed.federated_computation([("a", np.int32), ("b", np.str_)], fed.FederatedType([("c", np.float32)], fed.SERVER))
    def selected(x: Any, y: Any) -> Any:
        assert dir(x) == ["a", "b", "type_signature"]
        assert len(x) == 2
        first, second = x
        return x.b, x["a"], x[1], x[-1], x[:1], first, second, y.c, y[0]

    assert str(selected.type_signature.result) == "<str,int32,str,str,<int32>,int32,str,float32@SERVER,float32@SERVER>"
    assert selected((1, "t"), [2.5]) == ("t", 1, "t", "t", (1,), 1, "t", 2.5, 2.5)


def test_a_missing_element_is_named_with_those_there_are() -> None:
    with pytest.raises(AttributeError, match="no element 'c'; it has a, b"):
        fed.federated_computation(lambda x: x.c, [("a", np.int32), ("b", np.int32)])
    with pytest.raises(IndexError, match="has 2 elements, and none at 2"):
        fed.federated_computation(lambda x: x[2], [np.int32, np.int32])
    with pytest.raises(MisuseError, match="no elements to count"):
        fed.federated_computation(lambda x: len(x), np.int32)


def test_a_selection_from_what_all_clients_share_is_shared() -> None:
    shared = fed.FederatedType([("a", np.int32)], fed.CLIENTS, all_equal=True)
    computation = fed.federated_computation(lambda x: x.a, shared)
    assert str(computation.type_signature) == "(<a=int32>@CLIENTS -> int32@CLIENTS)"
    assert computation({"a": 3}) == 3


def test_to_value_holds_a_constant_at_its_type() -> None:
    typed = fed.federated_computation(lambda: fed.to_value(1, np.float32))
    assert str(typed.type_signature) == "( -> float32)"
    with pytest.raises(TypeMismatchError, match="expected: str"):
        fed.federated_computation(lambda x: fed.to_value(x, np.str_), np.int32)
    with pytest.raises(ValueMismatchError, match="a constant: expected int32"):
        fed.federated_computation(lambda: fed.to_value("text", np.int32))


@pytest.mark.parametrize(
    ("constant", "type_"),
    [
        (1, "int32"),
        (2**40, "int64"),
        (2**63, "uint64"),
        (-(2**31) - 1, "int64"),
        (True, "bool"),
        (1.5, "float32"),
        ("a", "str"),
        (b"a", "str"),
        (np.float64(1), "float64"),
        (np.zeros([2], np.int8), "int8[2]"),
    ],
)
def test_a_constant_has_the_type_that_python_or_numpy_gives_it(constant: Any, type_: str) -> None:
    assert str(fed.federated_computation(lambda: constant).type_signature.result) == type_


def test_a_constant_stays_what_it_was_when_it_was_written() -> None:
    array = np.zeros(2, np.float32)
    computation = fed.federated_computation(lambda: array)
    array[0] = 5
    assert computation().tolist() == [0, 0]
    computation()[1] = 7
    assert computation().tolist() == [0, 0]


def test_functions_may_be_passed_inside_a_program() -> None:
    function = fed.FunctionType(np.int32, np.int32)
    twice = fed.federated_computation(lambda f, x: f(f(x)), function, np.int32)
    assert str(twice.type_signature) == "(<f=(int32 -> int32),x=int32> -> int32)"
    minus_four = fed.federated_computation(lambda x: twice(lambda y: subtract(y, 2), x), np.int32)
    assert minus_four(10) == 6
    with pytest.raises(MisuseError, match="a function cannot be passed to a computation that is run"):
        twice(lambda x: x, 1)
