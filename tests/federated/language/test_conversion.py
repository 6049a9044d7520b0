"""The Python objects that types are written with."""

import dataclasses
from collections import OrderedDict, namedtuple
from typing import Any, NamedTuple

import numpy as np
import pytest

from federated.language.errors import TypeSpecError
from federated.language.structures import Struct
from federated.language.types import StructType, StructWithPythonType, TensorType, to_type


class Point(NamedTuple):
    x: np.float32
    y: np.float64


@dataclasses.dataclass(frozen=True)
class Reading:
    value: np.float32
    label: str


Pair = namedtuple("Pair", ["x", "y"])


ROWS: list[tuple[Any, str, type | None]] = [
    (np.int32, "int32", None),
    (np.dtype("float16"), "float16", None),
    (np.zeros(3, np.uint8).dtype, "uint8", None),
    (bool, "bool", None),
    (int, "int32", None),
    (float, "float32", None),
    (str, "str", None),
    ((np.int32, [10]), "int32[10]", None),
    ((np.int32, (None, np.int64(3))), "int32[?,3]", None),
    ((np.int32, ()), "int32", None),
    ((np.float32, None), "'float32'(shape=None)", None),
    ([np.int32, np.float64], "<int32,float64>", list),
    ((np.int32, np.float64), "<int32,float64>", tuple),
    (("a", np.int32), "<a=int32>", tuple),
    ([("a", np.int32), ("b", np.float64)], "<a=int32,b=float64>", None),
    ([np.float64, ("a", np.int32)], "<float64,a=int32>", None),
    ({"a": np.int32, "b": (np.float32, [2])}, "<a=int32,b=float32[2]>", dict),
    (OrderedDict(b=np.int32, a=np.bool_), "<b=int32,a=bool>", OrderedDict),
    (((np.int32, [1]), (("x", (np.float32, [2])), (np.float64, [3]))), "<int32[1],<x=float32[2],float64[3]>>", tuple),
    (Pair(np.int32, [np.bool_]), "<x=int32,y=<bool>>", Pair),
    (Point, "<x=float32,y=float64>", Point),
    (Reading(np.int32, np.bool_), "<value=int32,label=bool>", Reading),  # type: ignore[arg-type]
    (Reading, "<value=float32,label=str>", Reading),
    (Struct([(None, np.int32), ("b", np.int64)]), "<int32,b=int64>", None),
    ((), "<>", tuple),
    ({}, "<>", dict),
    (TensorType(np.int32), "int32", None),
]


@pytest.mark.parametrize(("spec", "notation", "container"), ROWS, ids=[f"{row[0]!r}"[:60] for row in ROWS])
def test_a_spec_is_read(spec: Any, notation: str, container: type | None) -> None:
    type_ = to_type(spec)
    assert str(type_) == notation
    found = type_.python_container if isinstance(type_, StructType) else None
    assert found is container
    assert isinstance(type_, StructWithPythonType) is (container is not None)


def test_a_named_tuple_is_never_a_dtype_with_its_shape() -> None:
    with pytest.raises(TypeSpecError, match="element 'y'"):
        to_type(Pair(np.int32, None))


@pytest.mark.parametrize(
    "spec", [None, object(), "float32", (np.int32, ""), 3, 2.5, np.float32(1), np.zeros(3), {1, 2}, print, list]
)
def test_anything_else_is_refused_and_what_is_accepted_is_told(spec: Any) -> None:
    with pytest.raises(TypeSpecError, match="is not a type") as caught:
        to_type(spec)
    assert caught.value.fix is not None
    assert "np.float32" in caught.value.fix


def test_the_element_that_is_no_type_is_named() -> None:
    with pytest.raises(TypeSpecError, match=r"element 'a': element 1: int 7 is not a type"):
        to_type({"a": [np.int32, 7]})


def test_names_are_strings() -> None:
    with pytest.raises(TypeSpecError, match="found the key 1"):
        to_type({1: np.int32})


def test_a_field_without_a_type_is_named() -> None:
    with pytest.raises(TypeSpecError, match="the field 'x' of Pair has no annotation"):
        to_type(Pair)


class _FakeAttribute:
    def __init__(self, name: str) -> None:
        self.name = name


class Classified:
    """What the attrs library makes of a class, as far as it matters here."""

    __attrs_attrs__ = (_FakeAttribute("a"), _FakeAttribute("b"))

    def __init__(self, a: Any, b: Any) -> None:
        self.a, self.b = a, b


def test_classes_of_attrs_are_containers() -> None:
    type_ = to_type(Classified(np.int32, [np.bool_]))
    assert (str(type_), type_.python_container) == ("<a=int32,b=<bool>>", Classified)  # type: ignore[attr-defined]


@pytest.mark.tensorflow
def test_tensorflows_descriptions_are_read() -> None:
    tf = pytest.importorskip("tensorflow")
    for spec, notation in [
        (tf.float32, "float32"),
        (tf.string, "str"),
        (tf.bool, "bool"),
        ((tf.int64, [None, 2]), "int64[?,2]"),
        ((tf.int64, tf.TensorShape([None, 2])), "int64[?,2]"),
        (tf.TensorSpec([None, 3], tf.int32), "int32[?,3]"),
        (tf.TensorSpec(None, tf.float32), "'float32'(shape=None)"),
        (tf.data.Dataset.from_tensor_slices(([1, 2], [3.0, 4.0])).batch(2).element_spec, "<int32[?],float32[?]>"),
        (tf.data.DatasetSpec({"x": tf.TensorSpec([5]), "y": tf.TensorSpec([], tf.int32)}), "<x=float32[5],y=int32>*"),
        ({"a": tf.int32}, "<a=int32>"),
    ]:
        assert str(to_type(spec)) == notation
    for value in (tf.constant(1), tf.Variable(1.0), tf.SparseTensorSpec([2]), tf.bfloat16):
        with pytest.raises(TypeSpecError):
            to_type(value)
