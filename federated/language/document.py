"""A computation as bytes, and back: what a program is when it is kept or sent.

A JSON document with tables of types, lines of the program, bodies and nodes. A node names its parts by their place in
the table, all of them before its own; so a computation that is called twice is written once, and nothing refers to
itself. Types are in the compact notation, with the Python containers in the order in which their structures begin.

Bytes may be anybody's: everything is checked before it is used, nothing in them is run by Python, and the graph that
they give is held against the typing rules. The bodies of local computations are read by whom `load` is given.
"""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, assert_never

from federated.language.checking import check
from federated.language.computation import Computation
from federated.language.errors import DocumentError
from federated.language.literals import WrittenArray, read_array, written_array
from federated.language.local_body import LocalBody
from federated.language.nodes import (
    Block,
    Call,
    Intrinsic,
    Lambda,
    Literal,
    Local,
    Node,
    Reference,
    Selection,
    Structure,
)
from federated.language.origin import Origin
from federated.language.types import (
    FunctionType,
    StructType,
    TensorType,
)
from federated.language.written_types import TypeReader, WrittenType, written_type
from wire import codec
from wire.errors import MessageError

FORMAT_VERSION = 1
MAX_BYTES = 1 << 30
MAX_NODES = 1_000_000
MAX_DEPTH = 200
"""How deep nodes may stand in each other: a deeper graph could not be computed within Python's own limit."""

LoadBody = Callable[[FunctionType, bytes], LocalBody]


@dataclass(frozen=True)
class WrittenOrigin:
    """A line of the user's program, without the folders it lay in."""

    file: str
    line: int
    code: str


@dataclass(frozen=True)
class WrittenNode:
    """A node of any kind; which of the parts it has is its kind's. Numbers are places in the tables."""

    kind: str
    type: int
    origin: int | None = None
    name: str | None = None
    parts: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    index: int | None = None
    array: WrittenArray | None = None
    body: str | None = None
    options: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Document:
    """The whole; the last node is the computation."""

    format_version: int
    name: str
    parameter_names: tuple[str, ...]
    types: tuple[WrittenType, ...]
    origins: tuple[WrittenOrigin, ...]
    nodes: tuple[WrittenNode, ...]


def dump(computation: Computation) -> bytes:
    """The bytes of a computation; the same for the same program, save for what TensorFlow calls its own functions.

    Raises:
        MisuseError: a local computation holds something that lives in this process alone.
        DocumentError: it is nested deeper than any reader accepts.
    """
    writer = _Writer()
    root = computation.as_node()
    check(root)
    writer.node(root)
    document = Document(
        FORMAT_VERSION,
        computation.__name__,
        computation.parameter_names,
        tuple(writer.types),
        tuple(writer.origins),
        tuple(writer.nodes),
    )
    return codec.dumps(document)


def load(data: bytes, load_body: LoadBody) -> Computation:
    """The computation that some bytes are.

    Args:
        load_body: reads the body of a local computation, from its type and its own bytes.

    Raises:
        DocumentError: the bytes are no document of this format, or of a newer one.
        FederatedError: of another kind, where the graph breaks a typing rule.
    """
    document = _parsed(data)
    nodes = _Reader(document, load_body).nodes()
    root = nodes[-1]
    if not isinstance(root.type, FunctionType):
        raise DocumentError(
            f"$.nodes[{len(nodes) - 1}]: a computation is a function, found a value of type {root.type}"
        )
    check(root)
    return Computation(root, document.name, document.parameter_names)


def _parsed(data: bytes) -> Document:
    if len(data) > MAX_BYTES:
        raise DocumentError(f"a document has at most {MAX_BYTES} bytes, found {len(data)}")
    try:
        value = codec.parse(data)
        version = value.get("format_version") if isinstance(value, dict) else None
        if isinstance(version, int) and version != FORMAT_VERSION:
            raise DocumentError(
                f"this document has the format version {version}, and version {FORMAT_VERSION} is what can be read",
                fix="install a newer fedelta" if version > FORMAT_VERSION else None,
            )
        document = codec.from_json(Document, value)
    except MessageError as error:
        raise DocumentError(str(error), fix="give the bytes that fed.serialize_computation made") from None
    if not 0 < len(document.nodes) <= MAX_NODES:
        raise DocumentError(f"$.nodes: expected 1 to {MAX_NODES} nodes, found {len(document.nodes)}")
    return document


class _Writer:
    """The tables of a document, as they grow."""

    def __init__(self) -> None:
        self.types: dict[WrittenType, int] = {}
        self.origins: dict[WrittenOrigin, int] = {}
        self.nodes: list[WrittenNode] = []
        self._places: dict[int, int] = {}

    def node(self, node: Node, depth: int = 1) -> int:
        """The place of a node in the table."""
        if depth > MAX_DEPTH:
            raise DocumentError(f"nodes stand in each other more than {MAX_DEPTH} deep", where=node.origin)
        if id(node) not in self._places:
            parts = tuple(self.node(part, depth + 1) for part in _parts(node))
            self.nodes.append(self._written(node, parts))
            self._places[id(node)] = len(self.nodes) - 1
        return self._places[id(node)]

    def _written(self, node: Node, parts: tuple[int, ...]) -> WrittenNode:  # noqa: PLR0911 - one for each kind of node
        kind = type(node).__name__.lower()
        type_ = self.types.setdefault(written_type(node.type), len(self.types))
        origin = None if node.origin is None else self._origin(node.origin)
        match node:
            case Literal(value):
                return WrittenNode(kind, type_, origin, array=written_array(value))
            case Reference(name):
                return WrittenNode(kind, type_, origin, name=name)
            case Structure() | Call():
                return WrittenNode(kind, type_, origin, parts=parts)
            case Selection(_, index):
                return WrittenNode(kind, type_, origin, parts=parts, index=index)
            case Lambda(parameter):
                return WrittenNode(kind, type_, origin, parts=parts, name=parameter)
            case Block(bindings):
                return WrittenNode(kind, type_, origin, parts=parts, names=tuple(name for name, _ in bindings))
            case Intrinsic(name):
                return WrittenNode(kind, type_, origin, name=name, options=dict(node.options))
            case Local(body):
                data = base64.b64encode(body.serialized()).decode()
                return WrittenNode(kind, type_, origin, name=body.name, body=data)
        assert_never(node)

    def _origin(self, origin: Origin) -> int:
        written = WrittenOrigin(origin.file.replace("\\", "/").rpartition("/")[2], origin.line, origin.code)
        return self.origins.setdefault(written, len(self.origins))


class _Reader:
    """The tables of a document, read one after the other."""

    def __init__(self, document: Document, load_body: LoadBody) -> None:
        self._document = document
        self._load_body = load_body
        reader = TypeReader()
        self._types = [reader.read(written, f"$.types[{place}]") for place, written in enumerate(document.types)]
        self._origins = [Origin(written.file, written.line, written.code) for written in document.origins]
        self._nodes: list[Node] = []
        self._depths: list[int] = []

    def nodes(self) -> list[Node]:
        """Every node, the parts before the whole."""
        for place, written in enumerate(self._document.nodes):
            path = f"$.nodes[{place}]"
            self._depths.append(1 + max((self._depths[self._part(part, path)] for part in written.parts), default=0))
            if self._depths[-1] > MAX_DEPTH:
                raise DocumentError(f"{path}: nodes stand in each other more than {MAX_DEPTH} deep")
            self._nodes.append(self._node(written, path))
        return self._nodes

    def _part(self, part: int, path: str) -> int:
        if not 0 <= part < len(self._nodes):
            raise DocumentError(f"{path}: the part {part} is not one of the {len(self._nodes)} nodes before")
        return part

    def _node(self, written: WrittenNode, path: str) -> Node:  # noqa: PLR0911 - one for each kind of node
        parts = [self._nodes[part] for part in written.parts]
        type_ = _at(self._types, written.type, f"{path}.type")
        origin = None if written.origin is None else _at(self._origins, written.origin, f"{path}.origin")
        match written, parts, type_:
            case WrittenNode(kind="literal", array=WrittenArray() as array), [], TensorType():
                return Literal(read_array(array, f"{path}.array"), type_, origin=origin)
            case WrittenNode(kind="reference", name=str(name)), [], _:
                return Reference(name, type_, origin=origin)
            case WrittenNode(kind="structure"), _, StructType():
                return Structure(tuple(parts), type_, origin=origin)
            case WrittenNode(kind="selection", index=int(index)), [source], _:
                return Selection(source, index, type_, origin=origin)
            case WrittenNode(kind="lambda", name=name), [body], FunctionType():
                return Lambda(name, body, type_, origin=origin)
            case WrittenNode(kind="call"), [function], _:
                return Call(function, None, type_, origin=origin)
            case WrittenNode(kind="call"), [function, argument], _:
                return Call(function, argument, type_, origin=origin)
            case WrittenNode(kind="block", names=names), [*values, result], _ if len(names) == len(values):
                return Block(tuple(zip(names, values, strict=True)), result, type_, origin=origin)
            case WrittenNode(kind="intrinsic", name=str(name), options=options), [], FunctionType():
                return Intrinsic(name, type_, options, origin=origin)
            case WrittenNode(kind="local", body=str(body)), [], FunctionType():
                return Local(self._body(type_, body, path), type_, origin=origin)
        raise DocumentError(f"{path}: no node of the kind {written.kind!r} has {len(parts)} parts and the type {type_}")

    def _body(self, type_: FunctionType, body: str, path: str) -> LocalBody:
        try:
            data = base64.b64decode(body, validate=True)
        except (binascii.Error, ValueError) as error:
            raise DocumentError(f"{path}.body: expected base64: {error}") from None
        return self._load_body(type_, data)


def _parts(node: Node) -> tuple[Node, ...]:
    match node:
        case Literal() | Reference() | Intrinsic() | Local():
            return ()
        case Structure(elements):
            return elements
        case Selection(source):
            return (source,)
        case Lambda(_, body):
            return (body,)
        case Call(function, argument):
            return (function,) if argument is None else (function, argument)
        case Block(bindings, result):
            return (*(value for _, value in bindings), result)
    assert_never(node)


def _at(table: list[Any], place: int, path: str) -> Any:
    if not 0 <= place < len(table):
        raise DocumentError(f"{path}: expected a place in a table of {len(table)}, found {place}")
    return table[place]
