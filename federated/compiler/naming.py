"""The names of tensors in a plan, from their places in a computation's type alone.

So a plan that was loaded without its program knows which argument is which tensor: the leaf at `model/weights` is
called `model_weights`. A computation of one parameter that is no structure has that parameter's name, or `value`.
"""

import keyword
import re
from collections.abc import Iterator, Sequence

from federated.language.types import FederatedType, SequenceType, StructType, TensorType, Type

Leaf = TensorType | SequenceType

_LONGEST = 150  # of the 200 characters that plans allow, so that there is room for a number


def leaf_paths(type_: Type, root: str = "") -> list[tuple[str, Leaf]]:
    """The tensors and sequences of a type with their paths, whatever they are placed at."""
    return list(_leaves(type_, root))


def identifiers(paths: Sequence[str]) -> list[str]:
    """A name of the form that plans have for each path, all different; the same paths have the same names."""
    taken: dict[str, None] = {}
    for path in paths:
        plain = _plain(path)
        name, attempt = plain, 1
        while name in taken:
            attempt += 1
            name = f"{plain}_{attempt}"
        taken[name] = None
    return list(taken)


def deeper(path: str, name: str | None, place: int) -> str:
    """The path of an element; a name that holds a / is written as JSON pointers write it (RFC 6901)."""
    label = str(place) if name is None else name.replace("~", "~0").replace("/", "~1")
    return f"{path}/{label}" if path else label


def _plain(path: str) -> str:
    """A path as a name, which is no word of Python's: TensorFlow takes a signature's inputs as named arguments."""
    plain = re.sub(r"[^a-z0-9]+", "_", path.lower()).strip("_")[:_LONGEST]
    return (
        plain
        if plain.isidentifier() and not keyword.iskeyword(plain) and plain != "self"
        else f"value_{plain}".strip("_")
    )


def _leaves(type_: Type, path: str) -> Iterator[tuple[str, Leaf]]:
    match type_:
        case FederatedType(member):
            yield from _leaves(member, path)
        case StructType():
            for place, (name, element) in enumerate(type_.items()):
                yield from _leaves(element, deeper(path, name, place))
        case TensorType() | SequenceType():
            yield path, type_
        case _:
            raise AssertionError(type_)
