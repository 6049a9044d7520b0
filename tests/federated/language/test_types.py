"""What types are: their parts, their notation, and what may not stand in what."""

import copy
import pickle
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given

from federated.language.errors import TypeSpecError
from federated.language.placements import CLIENTS, SERVER, Placement
from federated.language.types import (
    FederatedType,
    FunctionType,
    SequenceType,
    StructType,
    StructWithPythonType,
    TensorType,
    Type,
)
from tests.federated.language.strategies import types


def test_a_tensor_is_a_scalar_unless_a_shape_is_given() -> None:
    assert TensorType(np.int32).shape == ()
    assert TensorType(np.int32, [None, 3]).shape == (None, 3)
    assert TensorType(np.int32, None).shape is None
    assert TensorType(np.int32).dtype == np.int32


def test_strings_of_every_width_and_bytes_are_one_dtype() -> None:
    assert TensorType(np.dtype("<U7")) == TensorType(np.bytes_) == TensorType(np.str_)


def test_byte_order_is_the_machines() -> None:
    assert TensorType(np.dtype(">f4")) == TensorType(np.float32)


NOTATIONS: list[tuple[Type, str, str]] = [
    (TensorType(np.int32), "int32", "TensorType(np.int32)"),
    (TensorType(np.int32, [None, 10]), "int32[?,10]", "TensorType(np.int32, (None, 10))"),
    (TensorType(np.float32, None), "'float32'(shape=None)", "TensorType(np.float32, None)"),
    (TensorType(np.str_), "str", "TensorType(np.str_)"),
    (StructType([]), "<>", "StructType([])"),
    (
        StructType([("a", np.int32), np.float64]),
        "<a=int32,float64>",
        "StructType([('a', TensorType(np.int32)), TensorType(np.float64)])",
    ),
    (StructWithPythonType([np.int32], list), "<int32>", "StructType([TensorType(np.int32)]) as list"),
    (SequenceType(np.int32), "int32*", "SequenceType(TensorType(np.int32))"),
    (FunctionType(None, np.int32), "( -> int32)", "FunctionType(None, TensorType(np.int32))"),
    (
        FunctionType(np.int32, np.float64),
        "(int32 -> float64)",
        "FunctionType(TensorType(np.int32), TensorType(np.float64))",
    ),
    (
        FederatedType(np.int32, CLIENTS),
        "{int32}@CLIENTS",
        "FederatedType(TensorType(np.int32), PlacementLiteral('clients'), False)",
    ),
    (FederatedType(np.int32, CLIENTS, True), "int32@CLIENTS", ""),
    (FederatedType(np.int32, SERVER), "int32@SERVER", ""),
    (FederatedType(np.int32, SERVER, False), "{int32}@SERVER", ""),
]


@pytest.mark.parametrize(("type_", "compact", "full"), NOTATIONS, ids=[row[1] for row in NOTATIONS])
def test_a_type_prints_as_tensorflow_federated_prints_it(type_: Type, compact: str, full: str) -> None:
    assert str(type_) == type_.compact_representation() == compact
    assert type_.formatted_representation() == compact or isinstance(type_, StructType)
    assert not full or repr(type_) == full


def test_the_multi_line_form_has_a_line_for_each_element() -> None:
    inner = StructType([("x", StructType([np.int32, np.float32])), ("y", StructType([]))])
    type_ = FunctionType(FederatedType(inner, CLIENTS), SequenceType([np.str_]))
    assert type_.formatted_representation().splitlines() == [
        "({<",
        "  x=<",
        "    int32,",
        "    float32",
        "  >,",
        "  y=<>",
        ">}@CLIENTS -> <",
        "  str",
        ">*)",
    ]


def test_elements_are_reached_by_position_by_name_and_as_attributes() -> None:
    type_ = StructType([("a", np.int32), np.float32, ("items", np.bool_)])
    assert type_[0] == type_["a"] == type_.a == TensorType(np.int32)
    assert type_[-1] == type_["items"] == TensorType(np.bool_)
    assert type_[:2] == (TensorType(np.int32), TensorType(np.float32))
    first, *_ = type_
    assert (first, len(type_), type_.names()) == (type_.a, 3, ["a", None, "items"])
    assert list(type_.items())[1] == (None, TensorType(np.float32))


def test_an_element_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(AttributeError, match=r"no element 'b'; its names are \['a'\]"):
        _ = StructType([("a", np.int32)]).b


def test_constructors_take_what_to_type_takes() -> None:
    type_ = FunctionType({"a": FederatedType((np.float32, [2]), CLIENTS)}, [np.int32, np.bool_])
    assert str(type_) == "(<a={float32[2]}@CLIENTS> -> <int32,bool>)"
    assert isinstance(type_.parameter, StructWithPythonType)
    assert type_.parameter.python_container is dict


@pytest.mark.parametrize(
    "elements",
    [
        [("a", np.int32), ("b", np.float32)],
        {"a": np.int32, "b": np.float32},
        OrderedDict(a=np.int32, b=np.float32).items(),
        iter([("a", np.int32), ("b", np.float32)]),
        StructType([("a", np.int32), ("b", np.float32)]),
    ],
)
def test_a_structure_takes_pairs_mappings_and_iterators(elements: object) -> None:
    assert StructType(elements) == StructType([("a", np.int32), ("b", np.float32)])


def test_a_structure_of_a_dtype_and_a_list_is_not_read_as_a_tensor() -> None:
    assert str(StructType((np.float32, [np.int32]))) == "<float32,<int32>>"


def test_the_container_counts_for_equality_but_not_for_use() -> None:
    plain, in_list, in_tuple = (
        StructType([np.int32]),
        StructWithPythonType([np.int32], list),
        StructWithPythonType([np.int32], tuple),
    )
    assert len({plain, in_list, in_tuple}) == 3
    assert plain.is_equivalent_to(in_list)
    assert in_list.is_equivalent_to(in_tuple)
    assert not plain.is_identical_to(in_list)


def test_lists_in_a_sequence_become_tuples() -> None:
    element = SequenceType([[np.int32], {"a": [np.int32]}]).element
    assert isinstance(element, StructType)
    assert [element.python_container, element[0].python_container, element[1].python_container] == [tuple, tuple, dict]
    assert element[1].a.python_container is tuple


ILLEGAL: list[Callable[[], Type]] = [
    lambda: FederatedType(FederatedType(np.int32, SERVER), CLIENTS),
    lambda: FederatedType([FederatedType(np.int32, SERVER)], CLIENTS),
    lambda: FederatedType(FunctionType(np.int32, np.int32), CLIENTS),
    lambda: SequenceType(FederatedType(np.int32, CLIENTS)),
    lambda: SequenceType({"a": FunctionType(np.int32, np.int32)}),
    lambda: SequenceType([SequenceType(np.int32)]),
]


@pytest.mark.parametrize("make", ILLEGAL)
def test_what_cannot_stand_in_a_type_is_refused_by_name(make: Callable[[], Type]) -> None:
    with pytest.raises(TypeSpecError, match=r"a \w+Type can't hold a \w+Type: "):
        make()


def test_sequences_may_be_placed() -> None:
    assert str(FederatedType(SequenceType(np.int32), CLIENTS)) == "{int32*}@CLIENTS"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: StructType([("a", np.int32), ("a", np.int32)]), "two elements have the name 'a'"),
        (lambda: TensorType(np.int32, [-1]), "never negative"),
        (lambda: TensorType(np.int32, 3), "a shape is a list of sizes"),
        (lambda: TensorType(np.int32, [2.5]), "a shape is a list of sizes"),
        (lambda: TensorType(np.object_), "no tensor has the dtype object"),
        (lambda: TensorType(np.floating), "np.floating, which is a family of dtypes"),
        (lambda: TensorType(np.dtype([("a", np.int32)])), "no tensor has the dtype void"),
        (lambda: TensorType("int32"), "str 'int32' is not a dtype"),
        (lambda: FederatedType(np.int32, cast(Any, "clients")), "a placement is CLIENTS or SERVER, found 'clients'"),
        (lambda: StructType(3), "int 3 is not a type"),
        (lambda: StructType(np.int32), "the elements of a structure are a list"),
        (lambda: StructWithPythonType([np.int32], cast(Any, [1])), "a container type is a class"),
        (lambda: FunctionType(np.int32, None), "the result: NoneType None is not a type"),
    ],
)
def test_a_wrong_argument_of_a_constructor_is_named(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(TypeSpecError, match=message):
        make()


def test_placements_know_themselves() -> None:
    assert (str(CLIENTS), CLIENTS.uri, repr(SERVER)) == ("CLIENTS", "clients", "PlacementLiteral('server')")
    assert CLIENTS.is_clients()
    assert SERVER.is_server()
    assert CLIENTS != SERVER
    assert Placement("clients", "other", default_all_equal=True) == CLIENTS


def test_parts_can_be_taken_apart_by_match() -> None:
    match FederatedType((np.int32, [3]), CLIENTS):
        case FederatedType(TensorType(dtype, shape), placement, all_equal):
            assert dtype == np.int32
            assert (shape, placement, all_equal) == ((3,), CLIENTS, False)
        case _:
            pytest.fail("the parts were not found")


def test_a_type_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        TensorType(np.int32).shape = (1,)  # type: ignore[misc]


@given(types)
def test_types_survive_copying_and_pickling(type_: Type) -> None:
    again = pickle.loads(pickle.dumps(type_))  # noqa: S301 - our own bytes
    assert again == copy.deepcopy(type_) == type_
    assert hash(again) == hash(type_)
