"""Types in a document: the compact notation, and beside it the Python containers, which the notation leaves out.

Containers stand in the order in which their structures begin. A class of the user's is not looked up by its name, for
that would run whatever module the document says: a named tuple comes back as one of the same name and fields, made for
the purpose; any other class as no container.
"""

from collections import OrderedDict, namedtuple
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from federated.language import notation
from federated.language.errors import DocumentError, FederatedError
from federated.language.structures import field_names
from federated.language.types import (
    FederatedType,
    FunctionType,
    SequenceType,
    StructType,
    StructWithPythonType,
    TensorType,
    Type,
)

_CONTAINERS: Mapping[str, type] = {"dict": dict, "OrderedDict": OrderedDict, "list": list, "tuple": tuple}
_NAMED_TUPLE = "namedtuple:"


@dataclass(frozen=True)
class WrittenType:
    """A type: its notation, and a container, or null, for each of its structures."""

    notation: str
    containers: tuple[str | None, ...] = ()


def written_type(type_: Type) -> WrittenType:
    """How a type is written."""
    return WrittenType(str(type_), tuple(_containers(type_)))


def _containers(type_: Type) -> Iterator[str | None]:
    if isinstance(type_, StructType):
        yield _container_name(type_.python_container)
    for child in type_.children():
        yield from _containers(child)


def _container_name(container: type | None) -> str | None:
    """How a container is written; a class of the user's is a named tuple with its fields, or nothing."""
    for name, known in _CONTAINERS.items():
        if container is known:
            return name
    names = None if container is None else field_names(container)
    is_ordered = container is not None and (issubclass(container, tuple) or hasattr(container, "__attrs_attrs__"))
    if container is None or names is None or not is_ordered or any(name.startswith("_") for name in names):
        return None
    return _NAMED_TUPLE + container.__name__


class TypeReader:
    """Reads the types of one document; named tuples that are alike are of one class in it."""

    def __init__(self) -> None:
        self._named_tuples: dict[tuple[str, tuple[str, ...]], type] = {}

    def read(self, written: WrittenType, path: str) -> Type:
        """The type.

        Raises:
            DocumentError: it is none, or has more or fewer structures than containers; names the path.
        """
        try:
            bare = notation.parse(written.notation)
            containers = iter(written.containers)
            type_ = self._contained(bare, containers)
        except (FederatedError, StopIteration) as error:
            reason = error.message if isinstance(error, FederatedError) else "it has more structures than containers"
            raise DocumentError(f"{path}: {reason}") from None
        if any(True for _ in containers):
            raise DocumentError(f"{path}: {written.notation} has fewer structures than containers")
        return type_

    def _contained(self, type_: Type, containers: Iterator[str | None]) -> Type:
        """A type with the containers that its structures come in."""
        match type_:
            case TensorType():
                return type_
            case StructType():
                container = self._container(next(containers), type_)
                elements = [(name, self._contained(element, containers)) for name, element in type_.items()]
                return StructType(elements) if container is None else StructWithPythonType(elements, container)
            case SequenceType(element):
                return SequenceType(self._contained(element, containers))
            case FunctionType(parameter, result):
                converted = None if parameter is None else self._contained(parameter, containers)
                return FunctionType(converted, self._contained(result, containers))
            case FederatedType(member, placement, all_equal):
                return FederatedType(self._contained(member, containers), placement, all_equal)
        raise AssertionError(type_)

    def _container(self, written: str | None, struct: StructType) -> type | None:
        if written is None or not written.startswith(_NAMED_TUPLE):
            return None if written is None else _CONTAINERS.get(written)
        key = (written.removeprefix(_NAMED_TUPLE), tuple(str(name) for name in struct.names()))
        if key not in self._named_tuples:
            try:
                self._named_tuples[key] = namedtuple(*key)  # its name and fields are known only now
            except ValueError as error:
                raise DocumentError(f"{written!r} is no class of named tuples: {error}") from None
        return self._named_tuples[key]
