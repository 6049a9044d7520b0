"""What a caller may give for a computation's parameters, and what comes back."""

import collections
from typing import Any

import numpy as np
import pytest

import federated as fed
from federated.language.errors import MisuseError, ValueMismatchError

INTS = fed.FederatedType(np.int32, fed.CLIENTS)
SHARED = fed.FederatedType(np.int32, fed.CLIENTS, all_equal=True)
SEQUENCE = fed.SequenceType(np.int32)


def identity(*types: Any) -> Any:
    if len(types) == 1:
        return fed.federated_computation(lambda x: x, *types)
    return fed.federated_computation(lambda *xs: list(xs), *types)


@pytest.mark.parametrize("values", [[1, 2], (1, 2), np.array([1, 2]), [np.int64(1), 2], [np.array(1), 2]])
def test_client_values_are_a_list_with_one_for_each(values: Any) -> None:
    assert identity(INTS)(values) == [1, 2]


@pytest.mark.parametrize("values", [3, "ab", {"a": 1}, {1, 2}, np.int32(1), None])
def test_anything_else_for_client_values_is_refused(values: Any) -> None:
    with pytest.raises(ValueMismatchError, match="expected a list with a value for each client"):
        identity(INTS)(values)


def test_a_wrong_client_value_is_named_by_its_place() -> None:
    with pytest.raises(ValueMismatchError, match=r"\$.x\[2\]: expected int32, found the str 'a'"):
        identity(INTS)([1, 2, "a"])
    member = fed.FederatedType([("a", np.int32), ("b", (np.float32, [2]))], fed.CLIENTS)
    with pytest.raises(ValueMismatchError, match=r"\$.x\[1\].b: expected float32\[2\], found the shape \[3\]"):
        identity(member)([{"a": 1, "b": [0, 0]}, {"a": 1, "b": [0, 0, 0]}])


def test_what_all_clients_share_is_one_value() -> None:
    assert identity(SHARED)(3) == 3
    with pytest.raises(ValueMismatchError):
        identity(SHARED)([3, 4])


def test_arguments_that_disagree_on_the_number_of_clients_are_refused_with_both_numbers() -> None:
    with pytest.raises(ValueMismatchError, match=r"(?s)\$\[0\] has 2, \$\[1\] has 3.*give every client a value"):
        identity(INTS, INTS)([1, 2], [1, 2, 3])
    deep = [("a", INTS), ("b", [("c", INTS)])]
    with pytest.raises(ValueMismatchError, match=r"\$.x.a has 1, \$.x.b.c has 0"):
        identity(deep)({"a": [1], "b": {"c": []}})


def test_the_number_of_clients_comes_from_any_argument() -> None:
    counted = fed.federated_computation(
        lambda x, s: (fed.federated_sum(fed.federated_value(1, fed.CLIENTS)), x, s), INTS, SHARED
    )
    assert counted([5, 6, 7], 1)[0] == 3
    with fed.local_context(clients=9):
        assert counted([5, 6, 7], 1)[0] == 3


@pytest.mark.parametrize(
    "values", [[1, 2], (1, 2), range(1, 3), iter([1, 2]), np.array([1, 2]), collections.deque([1, 2])]
)
def test_a_sequence_is_anything_that_can_be_iterated_over(values: Any) -> None:
    assert identity(SEQUENCE)(values) == [1, 2]


@pytest.mark.parametrize("values", [3, "ab", {"a": 1}])
def test_anything_else_for_a_sequence_is_refused(values: Any) -> None:
    with pytest.raises(ValueMismatchError, match="expected a sequence, found"):
        identity(SEQUENCE)(values)


def test_a_wrong_element_of_a_clients_sequence_is_named_by_its_place() -> None:
    with pytest.raises(ValueMismatchError, match=r"\$.x\[1\]\[0\]: expected int32"):
        identity(fed.FederatedType(SEQUENCE, fed.CLIENTS))([[1], ["a"]])


def test_scalars_come_back_as_numpy_scalars_and_strings_as_strings() -> None:
    values: list[tuple[Any, Any]] = [(1, np.int32), (1.5, np.float64), (True, np.bool_), ("a", np.str_)]
    for value, type_ in values:
        kind = str if type_ is np.str_ else type_
        assert type(identity(type_)(value)) is kind
        assert type(identity(fed.FederatedType(type_, fed.SERVER))(value)) is kind
        assert [type(one) for one in identity(fed.FederatedType(type_, fed.CLIENTS))([value])] == [kind]


def test_tensors_come_back_as_arrays_of_their_dtype() -> None:
    result = identity(fed.FederatedType((np.float16, [2]), fed.CLIENTS))([[1, 2], [3, 4]])
    assert [(one.dtype, one.tolist()) for one in result] == [(np.float16, [1, 2]), (np.float16, [3, 4])]


def test_a_size_that_is_not_known_may_differ_between_clients() -> None:
    result = identity(fed.FederatedType((np.int32, [None]), fed.CLIENTS))([[1], [2, 3], []])
    assert [one.tolist() for one in result] == [[1], [2, 3], []]
    result = identity(fed.FederatedType(fed.TensorType(np.int32, None), fed.CLIENTS))([1, [[2]]])
    assert [one.tolist() for one in result] == [1, [[2]]]


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (np.int32, 1.5),
        (np.int32, True),
        (np.int32, 2**31),
        (np.bool_, 1),
        (np.float32, "1"),
        (np.str_, 1),
        ((np.int32, [2]), 1),
    ],
)
def test_a_value_is_never_bent_to_fit(type_: Any, value: Any) -> None:
    with pytest.raises(ValueMismatchError, match=r"\$.x: expected"):
        identity(type_)(value)


def test_a_missing_or_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueMismatchError, match=r"expected 2 elements \(a, b\), found 2 elements \(a, c\)"):
        identity([("a", np.int32), ("b", np.int32)])({"a": 1, "c": 2})


def test_a_function_cannot_be_given_or_returned() -> None:
    with pytest.raises(MisuseError, match="cannot leave a computation"):
        fed.federated_computation(lambda: fed.federated_computation(lambda x: x, np.int32))()


def test_no_client_is_a_number_of_clients_too() -> None:
    assert identity(INTS)([]) == []
    assert identity(fed.FederatedType([np.int32, SEQUENCE], fed.CLIENTS))([]) == []


def test_what_comes_back_may_be_changed_without_changing_what_was_given() -> None:
    given = np.zeros(2, np.float32)
    result = identity((np.float32, [2]))(given)
    np.testing.assert_array_equal(result, given)
    result[0] = 5
    assert given[0] == 0
    shared = identity(fed.FederatedType((np.float32, [2]), fed.CLIENTS))([given, given])
    shared[0][0] = 5
    assert given[0] == 0
    assert shared[1][0] == 0
