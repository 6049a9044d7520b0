"""What may be used as what."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federated.language.errors import TypeMismatchError
from federated.language.placements import CLIENTS, SERVER
from federated.language.types import FederatedType, FunctionType, SequenceType, StructType, Type, to_type
from tests.federated.language.strategies import narrower, types, wider, written_without_containers

ROWS: list[tuple[str, Any, Any, str | None]] = [
    ("the same dtype and shape", np.int32, np.int32, None),
    ("another dtype", np.int32, np.bool_, "expected int32, found bool"),
    ("another rank", np.int32, (np.int32, [10]), "expected int32, found int32[10]"),
    ("a known size for any", (np.int32, [None]), (np.int32, [10]), None),
    ("any size for a known", (np.int32, [10]), (np.int32, [None]), "expected int32[10], found int32[?]"),
    ("a known rank for any", (np.int32, None), (np.int32, [10]), None),
    ("any rank for a known", (np.int32, [10]), (np.int32, None), "expected int32[10], found 'int32'(shape=None)"),
    ("unnamed for named", StructType([("a", np.int32)]), StructType([np.int32]), None),
    (
        "named for unnamed",
        StructType([np.int32]),
        StructType([("a", np.int32)]),
        "element 0: expected no name, found the name 'a'",
    ),
    (
        "another name",
        StructType([("a", np.int32)]),
        StructType([("b", np.int32)]),
        "element 0: expected the name 'a', found the name 'b'",
    ),
    ("fewer elements", [np.int32, np.int32], [np.int32], "expected 2 elements, found 1 element"),
    (
        "a difference deep inside",
        {"a": np.int32, "b": [np.str_, np.float32]},
        {"a": np.int32, "b": [np.str_, np.int32]},
        "element 'b': element 1: expected float32, found int32",
    ),
    ("another container", [np.int32], (np.int32,), None),
    ("a sequence of the same", SequenceType(np.int32), SequenceType(np.int32), None),
    (
        "a sequence of others",
        SequenceType(np.int32),
        SequenceType(np.bool_),
        "sequence element: expected int32, found bool",
    ),
    ("a tensor for a sequence", SequenceType(np.int32), np.int32, "expected int32*, found int32"),
    (
        "equal values where they may differ",
        FederatedType(np.int32, CLIENTS),
        FederatedType(np.int32, CLIENTS, True),
        None,
    ),
    (
        "values that may differ where they are equal",
        FederatedType(np.int32, CLIENTS, True),
        FederatedType(np.int32, CLIENTS),
        "expected the same value everywhere, found values that may differ",
    ),
    (
        "another placement",
        FederatedType(np.int32, CLIENTS),
        FederatedType(np.int32, SERVER),
        "expected a value at CLIENTS, found one at SERVER",
    ),
    (
        "another member",
        FederatedType(np.float32, CLIENTS),
        FederatedType(np.int32, CLIENTS),
        "member: expected float32, found int32",
    ),
    (
        "a function that takes more",
        FunctionType((np.int32, [3]), np.int32),
        FunctionType((np.int32, [None]), np.int32),
        None,
    ),
    (
        "a function that takes less",
        FunctionType((np.int32, [None]), np.int32),
        FunctionType((np.int32, [3]), np.int32),
        "what the function found takes: expected int32[3], found int32[?]",
    ),
    (
        "a function that gives more",
        FunctionType(None, (np.int32, [3])),
        FunctionType(None, (np.int32, [None])),
        "result: expected int32[3], found int32[?]",
    ),
    (
        "a function without a parameter",
        FunctionType(np.bool_, np.int32),
        FunctionType(None, np.int32),
        "expected a function of bool, found one without a parameter",
    ),
    (
        "a function with one",
        FunctionType(None, np.int32),
        FunctionType(np.bool_, np.int32),
        "expected a function without a parameter, found one of bool",
    ),
]


@pytest.mark.parametrize(("target", "source", "difference"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_a_difference_is_told_in_one_line_with_its_place(target: Any, source: Any, difference: str | None) -> None:
    expected, found = to_type(target), to_type(source)
    assert expected.is_assignable_from(found) is (difference is None)
    assert expected.difference_from(found) == difference
    if difference is None:
        expected.check_assignable_from(found)
        return
    with pytest.raises(TypeMismatchError) as caught:
        expected.check_assignable_from(found)
    assert (caught.value.expected, caught.value.found, caught.value.difference) == (expected, found, difference)
    assert str(caught.value).endswith(f"  expected: {expected}\n  found:    {found}\n  differs:  {difference}")


def test_equivalence_is_refused_where_one_way_fails() -> None:
    narrow, wide = to_type((np.int32, [3])), to_type((np.int32, [None]))
    for check in ("check_equivalent_to", "check_identical_to"):
        with pytest.raises(TypeMismatchError, match=r"differs:  expected int32\[3\], found int32\[\?\]"):
            getattr(narrow, check)(wide)
        with pytest.raises(TypeMismatchError, match=r"differs:  the other way round: expected int32\[3\]"):
            getattr(wide, check)(narrow)


def test_identity_is_refused_for_another_container_and_the_place_is_told() -> None:
    one = FunctionType(FederatedType({"a": [np.int32]}, CLIENTS), np.int32)
    other = FunctionType(FederatedType({"a": (np.int32,)}, CLIENTS), np.int32)
    one.check_equivalent_to(other)
    with pytest.raises(TypeMismatchError, match="differs:  element 'a': expected a list, found a tuple"):
        one.check_identical_to(other)


@given(types)
def test_every_type_can_be_used_as_itself(type_: Type) -> None:
    assert type_.is_assignable_from(type_)
    assert type_.difference_from(written_without_containers(type_)) is None


@given(st.data())
def test_assignability_is_transitive(data: st.DataObject) -> None:
    middle = data.draw(types)
    wide, narrow = data.draw(wider(middle)), data.draw(narrower(middle))
    assert wide.is_assignable_from(middle)
    assert middle.is_assignable_from(narrow)
    assert wide.is_assignable_from(narrow)


@given(types, types)
def test_identical_types_are_equivalent_and_equivalent_ones_assignable(one: Type, other: Type) -> None:
    for found in (one, other, written_without_containers(one)):
        if one.is_identical_to(found):
            one.check_identical_to(found)
            assert one.is_equivalent_to(found)
        if one.is_equivalent_to(found):
            assert one.is_assignable_from(found)
            assert found.is_assignable_from(one)
        if one.is_equivalent_to(found) and not one.is_identical_to(found):
            with pytest.raises(TypeMismatchError, match="the types are not identical"):
                one.check_identical_to(found)
