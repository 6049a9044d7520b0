"""The types of the federated language.

    int32, float32[?,784]       TensorType      a tensor
    <a=int32,float32[10]>       StructType      elements with or without names
    float32*                    SequenceType    a sequence of elements, such as a data set
    (int32 -> bool)             FunctionType    a function; ( -> bool) takes nothing
    {float32}@CLIENTS           FederatedType   a value at each client; float32@SERVER is the same value everywhere

Types are immutable, equal when they are written alike (containers included), and may be keys. Constructors take
anything that `to_type` takes. A rule stands here once: what may be used as what (`Type.difference_from`), and what may
stand inside what (the constructors).
"""

import json
import re
import textwrap
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast, final

from federated.language import conversion
from federated.language.conversion import DType, SequenceSpec, Shape, StructSpec, TensorSpec
from federated.language.errors import TypeMismatchError, TypeSpecError, ValueMismatchError
from federated.language.placements import Placement
from federated.language.structures import check_names

PLAIN_NAME = re.compile(r"""[^\s=,<>(){}\[\]@*'"]+""")
"""The names of elements that the notation shows as they are; others are quoted."""


class Type(ABC):
    """A type; see the module for the kinds there are. Its `str` is the compact notation."""

    __slots__ = ()

    @abstractmethod
    def children(self) -> Iterator["Type"]:
        """The types that this one is directly made of."""

    @abstractmethod
    def difference_from(self, source: "Type") -> str | None:
        """Why a value of type `source` can't be used as one of this type, in one line; None where it can."""

    @abstractmethod
    def _written(self, structure: Callable[[list[str]], str]) -> str:
        """The notation, with structures written by `structure` from their written elements."""

    def compact_representation(self) -> str:
        """The type in one line."""
        return self._written(lambda elements: f"<{','.join(elements)}>")

    def formatted_representation(self) -> str:
        """The type with a line for each element of a structure, as TensorFlow Federated prints it."""
        return self._written(_written_in_lines)

    def __str__(self) -> str:
        return self.compact_representation()

    def is_assignable_from(self, source_type: "Type") -> bool:
        """Whether a value of `source_type` can be used as one of this type."""
        return self is source_type or self.difference_from(source_type) is None

    def is_equivalent_to(self, other: "Type") -> bool:
        """Whether values of both types can be used as the other; Python containers don't matter."""
        return self.is_assignable_from(other) and other.is_assignable_from(self)

    def is_identical_to(self, other: "Type") -> bool:
        """Whether the types are the same in everything, Python containers too."""
        return self == other

    def check_assignable_from(self, source_type: "Type") -> None:
        """Raise unless `is_assignable_from`.

        Raises:
            TypeMismatchError: this type is the one expected.
        """
        difference = self.difference_from(source_type)
        if difference is not None:
            message = "a value of the type found can't be used as the one expected"
            raise TypeMismatchError(message, expected=self, found=source_type, difference=difference)

    def check_equivalent_to(self, other: "Type") -> None:
        """Raise unless `is_equivalent_to`.

        Raises:
            TypeMismatchError: this type is the one expected.
        """
        difference = self.difference_from(other) or _inside("the other way round", other.difference_from(self))
        if difference is not None:
            raise TypeMismatchError("the types are not equivalent", expected=self, found=other, difference=difference)

    def check_identical_to(self, other: "Type") -> None:
        """Raise unless `is_identical_to`.

        Raises:
            TypeMismatchError: this type is the one expected.
        """
        if self != other:
            other_way = _inside("the other way round", other.difference_from(self))
            difference = self.difference_from(other) or other_way or _container_difference(self, other)
            raise TypeMismatchError("the types are not identical", expected=self, found=other, difference=difference)


@final
@dataclass(frozen=True, slots=True, init=False, repr=False)
class TensorType(Type):
    """A tensor: `TensorType(np.float32, [None, 784])` is `float32[?,784]`, and a shape of None has any rank."""

    dtype: DType
    shape: Shape

    def __init__(self, dtype: object, shape: object = ()) -> None:
        _set(self, dtype=conversion.to_dtype(dtype), shape=conversion.to_shape(shape))

    def children(self) -> Iterator[Type]:
        """None: a tensor is not made of types."""
        return iter(())

    def difference_from(self, source: Type) -> str | None:
        """See `Type`; the dtypes must be equal, and each size that is known here."""
        if not isinstance(source, TensorType) or self.dtype != source.dtype:
            return _expected(self, source)
        if self.shape is None:
            return None
        if source.shape is None or len(self.shape) != len(source.shape):
            return _expected(self, source)
        fits = all(mine is None or mine == its for mine, its in zip(self.shape, source.shape, strict=True))
        return None if fits else _expected(self, source)

    def _written(self, structure: Callable[[list[str]], str]) -> str:
        if self.shape is None:
            return f"'{self.dtype.name}'(shape=None)"
        sizes = ",".join("?" if size is None else str(size) for size in self.shape)
        return f"{self.dtype.name}[{sizes}]" if sizes else self.dtype.name

    def __repr__(self) -> str:
        shape = "" if self.shape == () else f", {self.shape!r}"
        return f"TensorType(np.{self.dtype.type.__name__}{shape})"


@dataclass(frozen=True, slots=True, init=False, repr=False)
class StructType(Type):
    """Elements, each with or without a name: `StructType([("a", np.int32), np.float32])` is `<a=int32,float32>`.

    An element is reached by its position, `t[0]`, and by its name, `t["a"]` or, where no method is called so, `t.a`.
    Not final, as its only subclass `StructWithPythonType` is a structure wherever one is asked for.
    """

    elements: tuple[tuple[str | None, Type], ...]

    def __init__(self, elements: object) -> None:
        pairs = elements.elements if isinstance(elements, StructType) else conversion.describe_elements(elements)
        converted = tuple((name, _child(_element(place, name), spec)) for place, (name, spec) in enumerate(pairs))
        try:
            check_names([name for name, _ in converted])
        except ValueMismatchError as error:
            raise TypeSpecError(error.message) from None
        _set(self, elements=converted)

    @property
    def python_container(self) -> type | None:
        """The Python container that values come back in, where one is known."""
        return None

    def items(self) -> Iterator[tuple[str | None, Type]]:
        """The elements with their names."""
        return iter(self.elements)

    def with_elements(self, types: Sequence[Type]) -> "StructType":
        """The structure of the same names, and the same container, with these elements."""
        named = list(zip(self.names(), types, strict=True))
        container = self.python_container
        return StructType(named) if container is None else StructWithPythonType(named, container)

    def names(self) -> list[str | None]:
        """The name, or None, of each element."""
        return [name for name, _ in self.elements]

    def children(self) -> Iterator[Type]:
        """The types of the elements."""
        return (element for _, element in self.elements)

    def __len__(self) -> int:
        return len(self.elements)

    def __iter__(self) -> Iterator[Type]:
        return self.children()

    def __getitem__(self, key: int | slice | str) -> Any:
        if isinstance(key, str):
            return _named(self.elements, key)
        if isinstance(key, slice):
            return tuple(self.children())[key]
        return self.elements[key][1]

    def __getattr__(self, name: str) -> Any:
        # Copying asks for attributes before there are any elements; object's own look-up doesn't come back here.
        return _named(object.__getattribute__(self, "elements"), name)

    def difference_from(self, source: Type) -> str | None:
        """See `Type`; an element that has a name there has the same one here, and containers don't matter."""
        if not isinstance(source, StructType):
            return _expected(self, source)
        if len(self) != len(source):
            return f"expected {_count(self)}, found {_count(source)}"
        for place, ((name, mine), (its_name, its)) in enumerate(zip(self.elements, source.elements, strict=True)):
            if its_name is not None and its_name != name:
                called = "no name" if name is None else f"the name {name!r}"
                return f"element {place}: expected {called}, found the name {its_name!r}"
            difference = mine.difference_from(its)
            if difference is not None:
                return f"{_element(place, name)}: {difference}"
        return None

    def _written(self, structure: Callable[[list[str]], str]) -> str:
        if not self.elements:
            return "<>"
        return structure(
            [
                (f"{_written_name(name)}=" if name is not None else "") + t._written(structure)
                for name, t in self.elements
            ]
        )

    def __repr__(self) -> str:
        shown = [repr(element) if name is None else f"({name!r}, {element!r})" for name, element in self.elements]
        return f"StructType([{', '.join(shown)}])"


@final
@dataclass(frozen=True, slots=True, init=False, repr=False)
class StructWithPythonType(StructType):
    """A structure that remembers the Python container its values come in and go back to."""

    container_type: type

    def __init__(self, elements: object, container_type: type) -> None:
        if not isinstance(container_type, type):
            raise TypeSpecError(f"a container type is a class such as dict, found {container_type!r}")
        StructType.__init__(self, elements)
        _set(self, container_type=container_type)

    @property
    def python_container(self) -> type:
        """The Python container that values come back in."""
        return self.container_type

    def __repr__(self) -> str:
        return f"{StructType.__repr__(self)} as {self.container_type.__name__}"


@final
@dataclass(frozen=True, slots=True, init=False, repr=False)
class SequenceType(Type):
    """Any number of elements of one type, such as a data set: `float32[784]*`.

    Lists inside an element are remembered as tuples, which is how data sets give them back.
    """

    element: Type

    def __init__(self, element: object) -> None:
        _set(self, element=_lists_as_tuples(_child("the element of a sequence", element)))
        _refuse_inside(self, FederatedType, FunctionType, SequenceType)

    def children(self) -> Iterator[Type]:
        """The element."""
        yield self.element

    def difference_from(self, source: Type) -> str | None:
        """See `Type`; the elements decide."""
        if not isinstance(source, SequenceType):
            return _expected(self, source)
        return _inside("sequence element", self.element.difference_from(source.element))

    def _written(self, structure: Callable[[list[str]], str]) -> str:
        return f"{self.element._written(structure)}*"

    def __repr__(self) -> str:
        return f"SequenceType({self.element!r})"


@final
@dataclass(frozen=True, slots=True, init=False, repr=False)
class FunctionType(Type):
    """A function; one without a parameter has None there. Several parameters are the elements of a structure."""

    parameter: Type | None
    result: Type

    def __init__(self, parameter: object, result: object) -> None:
        _set(
            self,
            parameter=None if parameter is None else _child("the parameter", parameter),
            result=_child("the result", result),
        )

    def children(self) -> Iterator[Type]:
        """The parameter, if any, and the result."""
        if self.parameter is not None:
            yield self.parameter
        yield self.result

    def difference_from(self, source: Type) -> str | None:
        """See `Type`; what this function takes, the other must take, and what the other gives, this one may."""
        if not isinstance(source, FunctionType):
            return _expected(self, source)
        match self.parameter, source.parameter:
            case None, None:
                pass
            case None, parameter:
                return f"expected a function without a parameter, found one of {parameter}"
            case parameter, None:
                return f"expected a function of {parameter}, found one without a parameter"
            case Type() as mine, Type() as its:
                difference = its.difference_from(mine)
                if difference is not None:
                    return f"what the function found takes: {difference}"
        return _inside("result", self.result.difference_from(source.result))

    def _written(self, structure: Callable[[list[str]], str]) -> str:
        parameter = "" if self.parameter is None else self.parameter._written(structure)
        return f"({parameter} -> {self.result._written(structure)})"

    def __repr__(self) -> str:
        return f"FunctionType({self.parameter!r}, {self.result!r})"


@final
@dataclass(frozen=True, slots=True, init=False, repr=False)
class FederatedType(Type):
    """A `member` at every place of a placement; where `all_equal`, the same one at each.

    `all_equal` is True at SERVER and False at CLIENTS unless it is given.
    """

    member: Type
    placement: Placement
    all_equal: bool

    def __init__(self, member: object, placement: Placement, all_equal: bool | None = None) -> None:
        if not isinstance(placement, Placement):
            raise TypeSpecError(
                f"a placement is CLIENTS or SERVER, found {placement!r}", fix="write fed.CLIENTS or fed.SERVER"
            )
        equal = placement.default_all_equal if all_equal is None else bool(all_equal)
        _set(self, member=_child("the member", member), placement=placement, all_equal=equal)
        _refuse_inside(self, FederatedType, FunctionType)

    def children(self) -> Iterator[Type]:
        """The member."""
        yield self.member

    def difference_from(self, source: Type) -> str | None:
        """See `Type`; equal values may be used where they may differ, not the other way."""
        if not isinstance(source, FederatedType):
            return _expected(self, source)
        if self.placement != source.placement:
            return f"expected a value at {self.placement}, found one at {source.placement}"
        if self.all_equal and not source.all_equal:
            return "expected the same value everywhere, found values that may differ"
        return _inside("member", self.member.difference_from(source.member))

    def _written(self, structure: Callable[[list[str]], str]) -> str:
        member = self.member._written(structure)
        return f"{member}@{self.placement}" if self.all_equal else f"{{{member}}}@{self.placement}"

    def __repr__(self) -> str:
        return f"FederatedType({self.member!r}, {self.placement!r}, {self.all_equal!r})"


def to_type(spec: object) -> Type:
    """The type that `spec` describes: a type itself, or what `conversion` reads.

    Pairs of name and type make a structure without a container, `[("a", np.int32)]`; other lists, tuples, mappings,
    named tuples and dataclasses are remembered as the container. A pair of a dtype and sizes is a tensor.

    Raises:
        TypeSpecError: `spec` describes no type, or one that cannot be; the message names the element.
    """
    if isinstance(spec, Type):
        return spec
    match conversion.describe(spec):
        case TensorSpec(dtype, shape):
            return TensorType(dtype, shape)
        case SequenceSpec(element):
            return SequenceType(element)
        case StructSpec(elements, container):
            return StructType(elements) if container is None else StructWithPythonType(elements, container)


def _set(record: Type, **fields: object) -> None:
    """What the `__init__` of a frozen dataclass does, for those that convert their arguments first."""
    for name, value in fields.items():
        object.__setattr__(record, name, value)


def _child(role: str, spec: object) -> Type:
    if isinstance(spec, Type):
        return spec
    try:
        return to_type(spec)
    except TypeSpecError as error:
        raise TypeSpecError(f"{role}: {error.message}", fix=error.fix) from None


def _refuse_inside(outer: Type, *kinds: type[Type]) -> None:
    for inner in _descendants(outer):
        if isinstance(inner, kinds):
            raise TypeSpecError(
                f"a {type(outer).__name__} can't hold a {type(inner).__name__}: {inner} in {outer}",
                fix=_ADVICE.get((type(outer), type(inner))),
            )


def _descendants(outer: Type) -> Iterator[Type]:
    for child in outer.children():
        yield child
        yield from _descendants(child)


_ADVICE: dict[tuple[type[Type], type[Type]], str] = {
    (FederatedType, FederatedType): "place the whole value once: {<a=int32,b=float32>}@CLIENTS",
    (SequenceType, FederatedType): "place the sequence, not its elements: {float32*}@CLIENTS",
}


def _lists_as_tuples(element: Type) -> Type:
    if not isinstance(element, StructType):
        return element
    elements = [(name, _lists_as_tuples(child)) for name, child in element.items()]
    container = element.python_container
    if container is None:
        return StructType(elements)
    return StructWithPythonType(elements, tuple if container is list else container)


def _named(elements: tuple[tuple[str | None, Type], ...], name: str) -> Type:
    for own, element in elements:
        if own == name:
            return element
    names = [own for own, _ in elements if own is not None]
    raise AttributeError(f"the structure has no element {name!r}; its names are {names}")


def _written_in_lines(elements: list[str]) -> str:
    return "<\n" + textwrap.indent(",\n".join(elements), "  ") + "\n>"


def _written_name(name: str) -> str:
    return name if PLAIN_NAME.fullmatch(name) else json.dumps(name)


def _expected(expected: Type, found: Type) -> str:
    return f"expected {expected}, found {found}"


def _inside(part: str, difference: str | None) -> str | None:
    return None if difference is None else f"{part}: {difference}"


def _element(place: int, name: str | None) -> str:
    return f"element {place if name is None else repr(name)}"


def _count(struct: StructType) -> str:
    return "1 element" if len(struct) == 1 else f"{len(struct)} elements"


def _container_difference(expected: Type, found: Type) -> str:
    """Where the containers of two types differ that are otherwise the same."""
    if isinstance(expected, StructType):
        found_struct = cast(StructType, found)
        if expected.python_container != found_struct.python_container:
            return f"expected {_container(expected)}, found {_container(found_struct)}"
        for place, ((name, mine), (_, its)) in enumerate(zip(expected.items(), found_struct.items(), strict=True)):
            if mine != its:
                return f"{_element(place, name)}: {_container_difference(mine, its)}"
    mine, its = next(pair for pair in zip(expected.children(), found.children(), strict=True) if pair[0] != pair[1])
    return _container_difference(mine, its)


def _container(struct: StructType) -> str:
    return "no Python container" if struct.python_container is None else f"a {struct.python_container.__name__}"
