"""Values against their types: leaves, and the containers that come back."""

import dataclasses
from collections import OrderedDict, defaultdict, namedtuple
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from federated.language.containers import arranged, build, leaf_types, leaves, pack
from federated.language.errors import TypeMismatchError, ValueMismatchError
from federated.language.placements import CLIENTS
from federated.language.structures import Struct
from federated.language.types import FederatedType, SequenceType, StructType, StructWithPythonType, Type, to_type
from tests.federated.language.strategies import leafy

Pair = namedtuple("Pair", ["x", "y"])


@dataclasses.dataclass
class Reading:
    value: np.float32
    label: str


NESTED = to_type(
    {"a": np.float32, "p": Pair(np.int32, np.int32), "r": Reading, "l": [np.int32, (np.str_,)], "w w": bool}
)


@given(leafy)
def test_leaves_that_are_packed_have_the_same_leaves(type_: Type) -> None:
    given_leaves = [path for path, _ in leaf_types(type_)]
    value = pack(type_, given_leaves)
    assert leaves(type_, value) == given_leaves
    assert pack(type_, leaves(type_, value)) == value


def test_a_nested_value_comes_back_in_its_containers() -> None:
    value = {"a": 3.0, "p": Pair(1, 2), "r": Reading(np.float32(1), "one"), "l": [1, ("s",)], "w w": True}
    flat = leaves(NESTED, value)
    assert flat == [3.0, 1, 2, 1, "one", 1, "s", True]
    assert pack(NESTED, flat) == value


def test_paths_say_where_a_leaf_is() -> None:
    assert [path for path, _ in leaf_types(NESTED)] == [
        "$.a",
        "$.p.x",
        "$.p.y",
        "$.r.value",
        "$.r.label",
        "$.l[0]",
        "$.l[1][0]",
        "$['w w']",
    ]
    assert leaf_types(to_type(np.int32)) == [("$", to_type(np.int32))]


def test_elements_with_names_may_come_in_any_order_and_container() -> None:
    struct = StructType([("x", np.int32), ("y", np.int32)])
    for value in ({"y": 2, "x": 1}, Pair(1, 2), Struct([("y", 2), ("x", 1)]), [1, 2], Struct([("x", 1), (None, 2)])):
        assert arranged(struct, value) == [1, 2]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"x": 1}, r"\$: expected 2 elements \(x, y\), found 1 element \(x\)"),
        ({"x": 1, "z": 2}, r"\$: expected 2 elements \(x, y\), found 2 elements \(x, z\)"),
        ((1, 2, 3), r"\$: expected 2 elements \(x, y\), found 3 elements without names"),
        (Struct([("y", 1), (None, 2)]), r"found 2 elements \(y, without a name\)"),
        (7.0, r"\$: expected <x=int32,y=int32>, found a value of float"),
        (np.zeros(2), r"found a value of numpy.ndarray"),
    ],
)
def test_other_elements_are_refused(value: Any, message: str) -> None:
    with pytest.raises(ValueMismatchError, match=message):
        leaves(StructType([("x", np.int32), ("y", np.int32)]), value)


def test_names_are_refused_where_the_type_has_none() -> None:
    with pytest.raises(ValueMismatchError, match="expected 1 element without names"):
        leaves(to_type([np.int32]), {"a": 1})


def test_the_path_of_a_misfit_is_told() -> None:
    value = {"a": 3.0, "p": Pair(1, 2), "r": Reading(np.float32(1), "one"), "l": [1, "s"], "w w": True}
    with pytest.raises(ValueMismatchError, match=r"^\$\.l\[1\]: expected <str>, found a value of str"):
        leaves(NESTED, value)


@pytest.mark.parametrize("type_", [FederatedType(np.int32, CLIENTS), SequenceType(np.int32)])
def test_only_tensors_and_structures_have_leaves(type_: Type) -> None:
    for use in (lambda t: leaves(t, [[1]]), lambda t: pack(t, [1]), leaf_types):
        with pytest.raises(TypeMismatchError, match=r"\$\[0\]: only tensors"):
            use(StructType([type_]))


def test_the_number_of_leaves_is_checked() -> None:
    for wrong in ([], [1, 2, 3]):
        with pytest.raises(ValueMismatchError, match=r"<int32,int32> has 2 leaves, found"):
            pack(to_type([np.int32, np.int32]), wrong)


@pytest.mark.parametrize(
    ("container", "pairs", "built"),
    [
        (dict, [("b", 1), ("a", 2)], {"b": 1, "a": 2}),
        (OrderedDict, [("b", 1), ("a", 2)], OrderedDict(b=1, a=2)),
        (defaultdict, [("a", 1)], defaultdict(None, a=1)),
        (list, [(None, 1), (None, 2)], [1, 2]),
        (tuple, [(None, 1), (None, 2)], (1, 2)),
        (Pair, [("x", 1), ("y", 2)], Pair(1, 2)),
        (Pair, [("y", 1), ("x", 2)], Pair(2, 1)),
        (Reading, [("value", 1), ("label", 2)], Reading(1, 2)),  # type: ignore[arg-type]
        (dict, [], {}),
        (tuple, [], ()),
        (tuple, [("a", 1)], Struct.named(a=1)),
        (dict, [(None, 1)], Struct.unnamed(1)),
        (set, [(None, 1)], Struct.unnamed(1)),
    ],
)
def test_the_remembered_container_comes_back(container: type, pairs: list[tuple[str | None, Any]], built: Any) -> None:
    struct = StructWithPythonType([(name, np.int32) for name, _ in pairs], container)
    found = build(struct, [value for _, value in pairs])
    assert (found, type(found)) == (built, type(built))
    assert list(found) == list(built) if isinstance(built, dict) else True


def test_without_a_container_a_struct_comes_back() -> None:
    assert build(StructType([("a", np.int32), np.int32]), [1, 2]) == Struct([("a", 1), (None, 2)])


def test_a_container_that_refuses_its_elements_is_named() -> None:
    with pytest.raises(ValueMismatchError, match=r"a Pair can't be made of <x=int32,z=int32>"):
        build(StructWithPythonType([("x", np.int32), ("z", np.int32)], Pair), [1, 2])
    with pytest.raises(ValueMismatchError, match="has 1 elements, found 2"):
        build(StructType([np.int32]), [1, 2])
