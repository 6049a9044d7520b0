"""Structures as Python values: `Struct`, and the elements of any container that can stand for one.

Nothing here knows types; `containers` puts both together.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, cast, final

from federated.language.errors import ValueMismatchError

Element = tuple[str | None, Any]


@final
class Struct:
    """An immutable sequence of elements, each with or without a name: `Struct([("a", 1), (None, 2)])`.

    This is what comes back where no Python container is known. An element is reached by its position, `x[0]` or
    `x[0:2]`, and by its name, `x.a` or `x["a"]`.
    """

    __slots__ = ("_elements",)

    _elements: tuple[Element, ...]

    def __init__(self, elements: Iterable[Element]) -> None:
        """Take pairs of a name, or None, and a value.

        Raises:
            ValueMismatchError: an element is not a pair, or two have the same name.
        """
        pairs = tuple(elements)
        for pair in pairs:
            if not is_pair(pair):
                raise ValueMismatchError(f"a Struct is made of (name or None, value) pairs, found {pair!r}")
        check_names([name for name, _ in pairs])
        object.__setattr__(self, "_elements", pairs)

    @classmethod
    def named(cls, **elements: Any) -> "Struct":
        """A Struct whose elements all have names."""
        return cls(elements.items())

    @classmethod
    def unnamed(cls, *elements: Any) -> "Struct":
        """A Struct whose elements have no names."""
        return cls((None, element) for element in elements)

    def __len__(self) -> int:
        return len(self._elements)

    def __iter__(self) -> Iterator[Any]:
        return (value for _, value in self._elements)

    def __getitem__(self, key: int | slice | str) -> Any:
        if isinstance(key, str):
            return self.__getattr__(key)
        if isinstance(key, slice):
            return tuple(self)[key]
        return self._elements[key][1]

    def __getattr__(self, name: str) -> Any:
        # Copying asks for attributes before there are any elements; object's own look-up doesn't come back here.
        for own, value in object.__getattribute__(self, "_elements"):
            if own == name:
                return value
        raise AttributeError(f"the Struct has no element {name!r}; its names are {self.__dir__()}")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Struct doesn't change; {name!r} was to be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a Struct doesn't change; {name!r} was to be deleted")

    def __dir__(self) -> list[str]:
        return [name for name, _ in self._elements if name is not None]

    def __eq__(self, other: object) -> bool:
        return self._elements == other._elements if isinstance(other, Struct) else NotImplemented

    def __hash__(self) -> int:
        return hash((Struct, self._elements))

    def __reduce__(self) -> tuple[Any, ...]:
        return Struct, (self._elements,)

    def __repr__(self) -> str:
        return f"Struct([{', '.join(f'({name!r}, {value!r})' for name, value in self._elements)}])"

    def __str__(self) -> str:
        return f"<{','.join(str(value) if name is None else f'{name}={value}' for name, value in self._elements)}>"

    def _asdict(self) -> dict[str, Any]:
        """The elements as a dict.

        Raises:
            ValueMismatchError: an element has no name.
        """
        if len(self.__dir__()) < len(self):
            raise ValueMismatchError(f"{self} has an element without a name, so it can't become a dict")
        return {cast(str, name): value for name, value in self._elements}


def elements_of(value: object) -> list[Element] | None:
    """The elements of a container, in its order, or None when `value` is no container.

    Containers are tuples, lists, mappings, named tuples, dataclasses (also those of attrs) and `Struct`.

    Raises:
        ValueMismatchError: a mapping has a key that is not a string.
    """
    match value:
        case Struct():
            return list(value._elements)
        case tuple() if hasattr(value, "_fields"):
            return list(zip(value._fields, value, strict=True))
        case list() | tuple():
            return [(None, element) for element in value]
        case Mapping():
            for key in value:
                if not isinstance(key, str):
                    raise ValueMismatchError(f"names of a structure are strings, found the key {key!r}")
            return list(value.items())
    if isinstance(value, type):
        return None
    names = field_names(type(value))
    return None if names is None else [(name, getattr(value, name)) for name in names]


def field_names(container: type) -> list[str] | None:
    """The fields of a class of named tuples, dataclasses or attrs, or None for any other class."""
    if issubclass(container, tuple) and hasattr(container, "_fields"):
        return list(container._fields)
    if is_dataclass(container):
        return [field.name for field in fields(container)]
    if hasattr(container, "__attrs_attrs__"):
        return [attribute.name for attribute in container.__attrs_attrs__]
    return None


def is_pair(value: object) -> bool:
    """Whether `value` is an element with its name: a pair of a string, or None, and anything."""
    match value:
        case [str() | None, _]:
            return isinstance(value, tuple | list)
    return False


def check_names(names: list[str | None]) -> None:
    """Refuse a name that two elements have.

    Raises:
        ValueMismatchError: names the first such name.
    """
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueMismatchError(f"two elements have the name {name!r}")
        if name is not None:
            seen.add(name)
