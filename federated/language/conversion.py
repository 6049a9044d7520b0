"""Reads the Python objects that people write types with: `np.float32`, `(np.int32, [None, 3])`, `{"a": np.str_}`.

`describe` says what such an object means, one level deep, in three small records; `types.to_type` makes types of them.
So the constructors of the types can accept such objects, and no module needs another that stands above it.
TensorFlow's own descriptions are recognised without loading it.
"""

import operator
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

import numpy as np

from federated.language.errors import TypeSpecError, ValueMismatchError
from federated.language.placements import Placement
from federated.language.structures import Element, Struct, elements_of, field_names, is_pair

DType = np.dtype[Any]
Shape = tuple[int | None, ...] | None
"""The sizes of a tensor; a size that is not known is None, and so is a shape whose rank is not known."""

ACCEPTED = (
    "a type is written as a numpy dtype (np.float32), a pair of dtype and shape ((np.float32, [None, 10])), a list, "
    "tuple, dict, named tuple or dataclass of these, a TensorFlow DType, TensorSpec or DatasetSpec, or a type"
)

_DTYPES = {
    np.dtype(scalar).name: np.dtype(scalar)
    for scalar in (
        *(np.bool_, np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64),
        *(np.float16, np.float32, np.float64, np.complex64, np.complex128, np.str_),
    )
}
DTYPES: tuple[str, ...] = tuple(_DTYPES)
"""The names of the dtypes there are, as in the notation."""

# numpy would take these for one of their members.
_FAMILIES = {
    *(np.generic, np.number, np.integer, np.signedinteger, np.unsignedinteger),
    *(np.inexact, np.floating, np.complexfloating, np.flexible, np.character),
}

# What a Python value of the class becomes when nobody says more.
_PYTHON_CLASSES = {bool: "bool", int: "int32", float: "float32", complex: "complex128", str: "str", bytes: "str"}

_TENSORFLOW = frozenset({"DType", "TensorShape", "TensorSpec", "DatasetSpec"})


@dataclass(frozen=True)
class TensorSpec:
    """The object describes a tensor."""

    dtype: DType
    shape: Shape = ()


@dataclass(frozen=True)
class StructSpec:
    """The object describes a structure, and the Python container to remember, if any."""

    elements: list[Element]
    container: type | None


@dataclass(frozen=True)
class SequenceSpec:
    """The object describes a sequence of `element`s."""

    element: Any


def describe(spec: object) -> TensorSpec | StructSpec | SequenceSpec:
    """What `spec` means, its elements unread.

    Raises:
        TypeSpecError: it means nothing; the message says what it was and what is accepted.
    """
    if is_dtype(spec):
        return TensorSpec(to_dtype(spec))
    match spec:
        case Placement():
            raise TypeSpecError(
                f"{spec} is a placement, not a type",
                fix=f"fed.FederatedType(np.float32, fed.{spec}) is a type placed there",
            )
        case (dtype, shape) if type(spec) is tuple and is_dtype(dtype) and _is_shape(shape):
            return TensorSpec(to_dtype(dtype), to_shape(shape))
        case list() | tuple() if not hasattr(spec, "_fields"):
            elements = describe_elements(spec)
            # Whoever writes (name, type) pairs means a structure, not a list of pairs: no container is remembered.
            is_named = any(is_pair(element) and element[0] is not None for element in spec)
            return StructSpec(elements, None if is_named else type(spec))
        case type():
            return _describe_class(spec)
    described = _describe_tensorflow(spec)
    if described is not None:
        return described
    try:
        named_elements = elements_of(spec)
    except ValueMismatchError as error:
        raise TypeSpecError(error.message) from None
    if named_elements is None:
        raise _meaningless(spec)
    return StructSpec(named_elements, None if isinstance(spec, Struct) else type(spec))


def describe_elements(spec: object) -> list[Element]:
    """The elements of a structure, where it is known to be one: `(np.int32, [2])` is two elements here.

    Raises:
        TypeSpecError: `spec` has no elements.
    """
    match spec:
        case list() | tuple() if not hasattr(spec, "_fields"):
            if is_pair(spec) and isinstance(spec[0], str):
                return [(spec[0], spec[1])]
            return [(element[0], element[1]) if is_pair(element) else (None, element) for element in spec]
        case Iterable() if not isinstance(spec, Mapping | Struct | tuple | str | bytes | type | np.ndarray):
            return describe_elements(list(spec))
    described = describe(spec)
    if not isinstance(described, StructSpec):
        raise TypeSpecError(f"the elements of a structure are a list or a mapping, found {_shown(spec)}")
    return described.elements


def is_dtype(spec: object) -> bool:
    """Whether `spec` is a dtype: a numpy scalar class or dtype, TensorFlow's, or Python's bool, int, float, str."""
    return (
        isinstance(spec, np.dtype)
        or (isinstance(spec, type) and (issubclass(spec, np.generic) or spec in _PYTHON_CLASSES))
        or _tensorflow_class(spec) == "DType"
    )


def to_dtype(spec: object) -> DType:
    """The dtype that `spec` is, in the machine's byte order; every width of string is `str`.

    Raises:
        TypeSpecError: it is no dtype, or one that no tensor has, such as a structured one.
    """
    if isinstance(spec, type) and spec in _PYTHON_CLASSES:
        return _DTYPES[_PYTHON_CLASSES[spec]]
    if not is_dtype(spec):
        raise TypeSpecError(f"{_shown(spec)} is not a dtype", fix=f"one of np.{', np.'.join(_DTYPES)}")
    if _tensorflow_class(spec) == "DType":
        name = {"string": "str"}.get(spec.name, spec.name)  # type: ignore[attr-defined]
    elif spec in _FAMILIES:
        name = f"np.{spec.__name__}, which is a family of dtypes"
    else:
        scalar = np.dtype(spec).type  # type: ignore[call-overload]
        name = np.dtype(np.str_ if scalar is np.bytes_ else scalar).name
    if name not in _DTYPES:
        raise TypeSpecError(f"no tensor has the dtype {name}", fix=f"one of {', '.join(_DTYPES)}")
    return _DTYPES[name]


def to_shape(spec: object) -> Shape:
    """The shape that a list of sizes is.

    Raises:
        TypeSpecError: it is no list of sizes, or a size is negative.
    """
    if _tensorflow_class(spec) == "TensorShape":
        spec = None if spec.rank is None else spec.as_list()  # type: ignore[attr-defined]
    if spec is None:
        return None
    if not _is_shape(spec):
        raise TypeSpecError(f"a shape is a list of sizes, each an int or None, or None itself, found {_shown(spec)}")
    sizes = tuple(None if size is None else operator.index(size) for size in spec)  # type: ignore[attr-defined]
    if any(size is not None and size < 0 for size in sizes):
        raise TypeSpecError(f"a size is never negative, found the shape {list(sizes)}", fix="an unknown size is None")
    return sizes


def _is_shape(spec: object) -> bool:
    if spec is None or _tensorflow_class(spec) == "TensorShape":
        return True
    return isinstance(spec, list | tuple) and all(
        size is None or (isinstance(size, int | np.integer) and not isinstance(size, bool)) for size in spec
    )


def _describe_class(spec: type) -> StructSpec:
    """A class of named tuples or dataclasses, whose annotations are the types of its fields."""
    names = field_names(spec)
    if names is None:
        raise _meaningless(spec)
    try:
        hints = get_type_hints(spec)
    except (NameError, TypeError) as error:
        raise TypeSpecError(f"the annotations of {spec.__qualname__} can't be read: {error}") from None
    for name in names:
        if name not in hints:
            raise TypeSpecError(f"the field {name!r} of {spec.__qualname__} has no annotation, so it has no type")
    return StructSpec([(name, hints[name]) for name in names], spec)


def _describe_tensorflow(spec: Any) -> TensorSpec | SequenceSpec | None:
    match _tensorflow_class(spec):
        case "TensorSpec":
            return TensorSpec(to_dtype(spec.dtype), to_shape(spec.shape))
        case "DatasetSpec":
            return SequenceSpec(spec.element_spec)
    return None


def _tensorflow_class(spec: object) -> str | None:
    """Which of TensorFlow's descriptions `spec` is an instance of; a value such as a tensor is none of them."""
    for base in type(spec).__mro__:
        if base.__name__ in _TENSORFLOW and base.__module__.startswith("tensorflow."):
            return base.__name__
    return None


def _meaningless(spec: object) -> TypeSpecError:
    fix = ACCEPTED
    match spec:
        case None:
            fix = "a function without a parameter is FunctionType(None, result); " + ACCEPTED
        case str():
            fix = "a type in compact notation is read by `notation.parse`; " + ACCEPTED
        case np.ndarray() | np.generic() | bool() | int() | float():
            fix = "this is a value, not its type; " + ACCEPTED
    return TypeSpecError(f"{_shown(spec)} is not a type", fix=fix)


def _shown(spec: object) -> str:
    return f"class {spec.__qualname__}" if isinstance(spec, type) else f"{type(spec).__name__} {reprlib.repr(spec)}"
