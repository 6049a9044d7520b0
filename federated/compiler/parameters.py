"""The parts of a computation's parameter: what the server has, what each client has, and where.

A part of the parameter is a federated value, or a value that is placed nowhere, which the server has. Its path is the
names of the elements that lead to it; a parameter that is no structure is itself the part, by its Python name.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from federated.compiler.naming import deeper, identifiers, leaf_paths
from federated.language.types import FederatedType, SequenceType, StructType, TensorType, Type

VALUE = "value"
"""What the only tensor of a result is called."""


@dataclass(frozen=True)
class Part:
    """A part of a parameter.

    Attributes:
        type: of its member, where it is federated.
        index: its place in the flattened parameter, the path as positions.
    """

    path: str
    type: Type
    is_clients: bool
    all_equal: bool
    index: tuple[int, ...]

    @property
    def is_sequence(self) -> bool:
        """Whether a client goes through many examples of it."""
        return isinstance(self.type, SequenceType)

    @property
    def example(self) -> Type:
        """The type of one example, or of the value."""
        return self.type.element if isinstance(self.type, SequenceType) else self.type


def parts_of(parameter: Type | None, root: str) -> tuple[Part, ...]:
    """The parts of a parameter, in its order."""
    return () if parameter is None else tuple(_parts(parameter, "" if _is_structure(parameter) else root, ()))


def state_tensors(parameter: Type | None, root: str) -> list[tuple[str, str, TensorType]]:
    """The server's tensors: the name that each has in a plan, its path and its type."""
    leaves = [
        (path, leaf)
        for part in parts_of(parameter, root)
        if not part.is_clients
        for path, leaf in leaf_paths(part.type, part.path)
        if isinstance(leaf, TensorType)
    ]
    names = identifiers([path for path, _ in leaves])
    return [(name, path, leaf) for name, (path, leaf) in zip(names, leaves, strict=True)]


def result_tensors(result: Type) -> list[tuple[str, str, TensorType]]:
    """A result's tensors: the name that each has in a plan, its path and its type."""
    leaves = [(path, leaf) for path, leaf in leaf_paths(result) if isinstance(leaf, TensorType)]
    # Two underscores never come from a path, so a result has no name that an argument has.
    return [(f"result__{index}", path or VALUE, leaf) for index, (path, leaf) in enumerate(leaves)]


def _parts(type_: Type, path: str, index: tuple[int, ...]) -> Iterator[Part]:
    if isinstance(type_, FederatedType):
        yield Part(path, type_.member, type_.placement.is_clients(), type_.all_equal, index)
    elif isinstance(type_, StructType):
        for place, (name, element) in enumerate(type_.items()):
            yield from _parts(element, deeper(path, name, place), (*index, place))
    else:
        yield Part(path, type_, is_clients=False, all_equal=True, index=index)


def _is_structure(type_: Type) -> bool:
    return isinstance(type_, StructType)
