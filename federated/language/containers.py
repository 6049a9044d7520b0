"""Python containers and structure types: which value is which element, the leaves of a value, and the way back."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from federated.language.errors import FederatedError, TypeMismatchError, ValueMismatchError
from federated.language.structures import Struct, elements_of, field_names
from federated.language.types import PLAIN_NAME, StructType, TensorType, Type

Path = tuple[str | int, ...]


def arranged(struct: StructType, value: object, path: Path = ()) -> list[Any]:
    """The elements of a container in the order of the type.

    Names decide where all elements have them and the type has the same ones; otherwise the position does, and an
    element that has a name must have the type's.

    Raises:
        ValueMismatchError: `value` is no container, or has other elements; the message names the path.
    """
    elements = elements_of(value)
    if elements is None:
        raise ValueMismatchError(f"{shown_path(path)}: expected {struct}, found {_shown(value)}")
    if len(elements) == len(struct) and all(
        its is None or its == name for (its, _), name in zip(elements, struct.names(), strict=True)
    ):
        return [element for _, element in elements]
    by_name = dict(elements)
    if len(by_name) == len(elements) == len(struct) and None not in by_name and by_name.keys() == set(struct.names()):
        return [by_name[name] for name in struct.names()]
    raise ValueMismatchError(
        f"{shown_path(path)}: expected {_elements_shown(struct.names())}, "
        f"found {_elements_shown([name for name, _ in elements])}"
    )


def build(struct: StructType, elements: Sequence[Any]) -> Any:
    """The Python container that the type remembers, made of the elements in the type's order.

    A `Struct` is what becomes of a type without a container, and of names that a list or a tuple can't hold.

    Raises:
        ValueMismatchError: there are too many or too few elements, or the container's class refuses them.
    """
    if len(elements) != len(struct):
        raise ValueMismatchError(f"{struct} has {len(struct)} elements, found {len(elements)}")
    pairs = list(zip(struct.names(), elements, strict=True))
    container = struct.python_container
    if container is None:
        return Struct(pairs)
    try:
        return _built(container, pairs)
    except (TypeError, ValueError, AttributeError) as error:
        if isinstance(error, FederatedError):
            raise
        raise ValueMismatchError(f"a {container.__qualname__} can't be made of {struct}: {error}") from error


def leaf_types(type_: Type) -> list[tuple[str, TensorType]]:
    """The tensors that a value of the type is made of, each with its path, such as `$.a[1]`, in order.

    Raises:
        TypeMismatchError: something else than tensors and structures is in the type.
    """
    return [(shown_path(path), leaf) for path, leaf in _leaf_types(type_, ())]


def leaves(type_: Type, value: object) -> list[Any]:
    """A value flattened against its type: one Python value for each of `leaf_types`, not looked into.

    Raises:
        ValueMismatchError: the value is made differently; the message names the path.
        TypeMismatchError: see `leaf_types`.
    """
    found: list[Any] = []
    _collect(type_, value, (), found)
    return found


def pack(type_: Type, leaves: Iterable[Any]) -> Any:
    """The value that has these leaves, in the containers that the type remembers.

    Raises:
        ValueMismatchError: there are too many or too few leaves.
        TypeMismatchError: see `leaf_types`.
    """
    given = list(leaves)
    expected = sum(1 for _ in _leaf_types(type_, ()))
    if len(given) != expected:
        raise ValueMismatchError(f"{type_} has {expected} leaves, found {len(given)}")
    return _packed(type_, iter(given))


def shown_path(path: Path) -> str:
    """A path as it is written in messages: `$` for the whole value, `$.a[1]`, `$['two words']`."""
    steps = []
    for step in path:
        is_plain = isinstance(step, str) and PLAIN_NAME.fullmatch(step) and "." not in step
        steps.append(f".{step}" if is_plain else f"[{step!r}]")
    return "$" + "".join(steps)


def _built(container: type, pairs: list[tuple[str | None, Any]]) -> Any:
    values = [value for _, value in pairs]
    names = [name for name, _ in pairs if name is not None]
    has_names = len(names) == len(pairs)
    if field_names(container) is not None:
        # attrs leaves the underscores of private fields out of its constructor's names.
        aliases = {
            field.name: getattr(field, "alias", field.name) for field in getattr(container, "__attrs_attrs__", ())
        }
        return (
            container(**{aliases.get(name, name): v for name, v in pairs if name}) if has_names else container(*values)
        )
    if issubclass(container, Mapping) and has_names:
        named = dict(zip(names, values, strict=True))
        return container(None, named) if issubclass(container, defaultdict) else container(named)  # type: ignore[call-arg]
    if issubclass(container, list | tuple) and not names:
        return container(values)
    return Struct(pairs)


def _leaf_types(type_: Type, path: Path) -> Iterator[tuple[Path, TensorType]]:
    match type_:
        case TensorType():
            yield path, type_
        case StructType(elements):
            for place, (name, element) in enumerate(elements):
                yield from _leaf_types(element, (*path, place if name is None else name))
        case _:
            raise _leafless(type_, path)


def _collect(type_: Type, value: object, path: Path, found: list[Any]) -> None:
    match type_:
        case TensorType():
            found.append(value)
        case StructType(elements):
            for place, ((name, element), inner) in enumerate(zip(elements, arranged(type_, value, path), strict=True)):
                _collect(element, inner, (*path, place if name is None else name), found)
        case _:
            raise _leafless(type_, path)


def _packed(type_: Type, leaves: Iterator[Any]) -> Any:
    if isinstance(type_, StructType):
        return build(type_, [_packed(element, leaves) for element in type_.children()])
    return next(leaves)


def _leafless(type_: Type, path: Path) -> TypeMismatchError:
    return TypeMismatchError(f"{shown_path(path)}: only tensors and structures of them have leaves, found {type_}")


def _elements_shown(names: Sequence[str | None]) -> str:
    count = "1 element" if len(names) == 1 else f"{len(names)} elements"
    if not any(name is not None for name in names):
        return count + (" without names" if names else "")
    return f"{count} ({', '.join('without a name' if name is None else name for name in names)})"


def _shown(value: object) -> str:
    return f"a value of {type(value).__module__}.{type(value).__qualname__}".replace("builtins.", "")
