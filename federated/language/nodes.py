"""The graph of a federated computation: a small typed lambda calculus.

Every node has its type and, where one is known, the line of the user's program that made it. Nodes are made once and
never changed; a computation that is called twice is the same node twice. `federated.language.document` writes them
down, `federated.language.printer` shows them, `federated.language.checking` holds them against the typing rules.

    Literal     a constant tensor
    Reference   a name that a lambda or a block bound
    Structure   several values, with or without names
    Selection   one element of a structure
    Lambda      a function of one parameter, or of none
    Call        a function applied to one argument, or to none
    Block       names bound one after the other, then a result
    Intrinsic   one of the operators of `federated.language.intrinsics`, at a type
    Local       a computation on one machine, whose body is TensorFlow's
"""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import TypeAlias

from federated.language.local_body import LocalBody
from federated.language.origin import Origin
from federated.language.types import FunctionType, StructType, TensorType, Type
from wire.tensors import Array


@dataclass(frozen=True, eq=False)
class Literal:
    """A constant tensor."""

    value: Array
    type: TensorType
    _: KW_ONLY
    origin: Origin | None = None


@dataclass(frozen=True, eq=False)
class Reference:
    """A name that an enclosing lambda or block bound."""

    name: str
    type: Type
    _: KW_ONLY
    origin: Origin | None = None


@dataclass(frozen=True, eq=False)
class Structure:
    """Several values; their names, and the Python container they came in, are in the type."""

    elements: tuple["Node", ...]
    type: StructType
    _: KW_ONLY
    origin: Origin | None = None


@dataclass(frozen=True, eq=False)
class Selection:
    """The element at `index` of a structure."""

    source: "Node"
    index: int
    type: Type
    _: KW_ONLY
    origin: Origin | None = None


@dataclass(frozen=True, eq=False)
class Lambda:
    """A function; `parameter` is None where it takes nothing."""

    parameter: str | None
    body: "Node"
    type: FunctionType
    _: KW_ONLY
    origin: Origin | None = None


@dataclass(frozen=True, eq=False)
class Call:
    """A function applied to its argument, or to nothing."""

    function: "Node"
    argument: "Node | None"
    type: Type
    _: KW_ONLY
    origin: Origin | None = None


@dataclass(frozen=True, eq=False)
class Block:
    """`let name = value, … in result`; a later value may refer to an earlier name."""

    locals: tuple[tuple[str, "Node"], ...]
    result: "Node"
    type: Type
    _: KW_ONLY
    origin: Origin | None = None


@dataclass(frozen=True, eq=False)
class Intrinsic:
    """An operator of the language, at a type. One of several arguments takes them as an unnamed structure.

    Attributes:
        options: what the program chose beside the arguments, such as what a mean of nobody is.
    """

    name: str
    type: FunctionType
    options: Mapping[str, str] = field(default_factory=dict)
    _: KW_ONLY
    origin: Origin | None = None


@dataclass(frozen=True, eq=False)
class Local:
    """A computation on one machine."""

    body: LocalBody
    type: FunctionType
    _: KW_ONLY
    origin: Origin | None = None


Node: TypeAlias = Literal | Reference | Structure | Selection | Lambda | Call | Block | Intrinsic | Local


def select(source: Node, index: int, origin: Origin | None = None) -> Node:
    """The element at `index` of a node whose type is a structure."""
    assert isinstance(source.type, StructType)  # noqa: S101 - its callers have looked
    if isinstance(source, Structure):
        return source.elements[index]
    return Selection(source, index, source.type[index], origin=origin)


def structure(elements: tuple[Node, ...], origin: Origin | None = None) -> Structure:
    """Several nodes as an unnamed structure: the arguments of an intrinsic."""
    return Structure(elements, StructType([(None, element.type) for element in elements]), origin=origin)
