"""Python values to runtime values and back, by type; `federated.language.cohort` says what a runtime value is.

What a caller gives for `{T}@CLIENTS` is a list with an entry for each client; for `T@CLIENTS` one value for all; for
`T*` a list of elements, or anything else that can be iterated over, such as a `tf.data.Dataset`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from federated.language.arrays import to_array, to_arrays
from federated.language.cohort import Clients, repeated, rows, stacked
from federated.language.containers import Path, arranged, build, shown_path
from federated.language.errors import MisuseError, ValueMismatchError
from federated.language.placements import CLIENTS
from federated.language.streaming import StreamedClients
from federated.language.types import FederatedType, FunctionType, SequenceType, StructType, TensorType, Type
from wire.tensors import Array


def denoted(type_: Type, value: Any, cohort: int, path: Path = ()) -> Any:
    """The runtime value of what a caller gave.

    Args:
        cohort: how many clients there are; see `cohort_of`.

    Raises:
        ValueMismatchError: the value does not fit its type; the message names where in the argument.
    """
    match type_:
        case TensorType():
            return to_array(type_, value, shown_path(path))
        case StructType():
            return tuple(
                denoted(element, given, cohort, inside) for inside, element, given in _parts(type_, value, path)
            )
        case SequenceType(element):
            return [denoted(element, given, cohort, (*path, i)) for i, given in enumerate(_iterated(value, path))]
        case FederatedType(member, placement, all_equal):
            if placement != CLIENTS:
                return denoted(member, value, cohort, path)
            if all_equal:
                return repeated(member, denoted(member, value, cohort, path), cohort)
            return _clients(member, value, cohort, path)
        case FunctionType():
            raise MisuseError(
                f"{shown_path(path)}: a function cannot be passed to a computation that is run",
                fix="call the computation inside a federated computation that takes no function",
            )
    raise AssertionError(type_)


def presented(type_: Type, value: Any) -> Any:
    """What a caller gets for a runtime value, in the Python containers that its type remembers."""
    match type_:
        case TensorType():
            return _tensor(type_, value)
        case StructType():
            return build(type_, [presented(element, inner) for element, inner in zip(type_, value, strict=True)])
        case SequenceType(element):
            return [presented(element, inner) for inner in value]
        case FederatedType(member, placement, all_equal):
            if placement != CLIENTS:
                return presented(member, value)
            if all_equal:
                return presented(member, value.shared)
            return [presented(member, row) for row in rows(member, value)]
    raise MisuseError(
        f"a value of type {type_} cannot leave a computation", fix="call it inside, and return its result"
    )


def cohort_of(type_: Type, value: Any, path: Path = ()) -> int | None:
    """How many clients an argument has values of; None where it says nothing of them.

    Raises:
        ValueMismatchError: two of its parts disagree, or a client value is no list.
    """
    known = list(_counts(type_, value, path))
    for other, count in known[1:]:
        if count != known[0][1]:
            raise ValueMismatchError(
                f"the arguments disagree on the number of clients: {shown_path(known[0][0])} has {known[0][1]}, "
                f"{shown_path(other)} has {count}",
                fix="give every client a value in each",
            )
    return known[0][1] if known else None


def _counts(type_: Type, value: Any, path: Path) -> Iterator[tuple[Path, int]]:
    if isinstance(type_, StructType):
        for inside, element, given in _parts(type_, value, path):
            yield from _counts(element, given, inside)
    elif isinstance(type_, FederatedType) and type_.placement == CLIENTS and not type_.all_equal:
        yield path, len(_list(value, path))


def _clients(member: Type, value: Any, cohort: int, path: Path) -> Clients:
    values = _list(value, path)
    if isinstance(values, StreamedClients):
        return Clients(len(values), values.typed(member))
    if isinstance(member, TensorType):
        fast = to_arrays(member, values)
        if fast is not None:
            return Clients(len(values), fast)
    return stacked(member, [denoted(member, given, cohort, (*path, i)) for i, given in enumerate(values)])


def _list(value: Any, path: Path) -> Sequence[Any] | StreamedClients:
    if isinstance(value, (list, tuple, StreamedClients)):
        return value
    if isinstance(value, np.ndarray) and value.ndim:
        return list(value)
    raise ValueMismatchError(
        f"{shown_path(path)}: expected a list with a value for each client, found a {type(value).__name__}",
        fix="put each client's value into a list, [value] for one client",
    )


def _iterated(value: Any, path: Path) -> Iterable[Any]:
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping):
        return value
    raise ValueMismatchError(
        f"{shown_path(path)}: expected a sequence, found a {type(value).__name__}",
        fix="give a list of its elements, or a tf.data.Dataset",
    )


def _tensor(type_: TensorType, value: Any) -> Any:
    array: Array = np.array(value)  # a copy, which the caller may change
    if array.shape != ():
        return array
    return array.item() if array.dtype.kind in "OUS" else array.dtype.type(array[()])


def _parts(type_: StructType, value: Any, path: Path) -> list[tuple[Path, Type, Any]]:
    """A structure's elements: where each stands, its type, and what was given for it."""
    given = arranged(type_, value, path)
    return [
        ((*path, place if name is None else name), element, inner)
        for place, ((name, element), inner) in enumerate(zip(type_.items(), given, strict=True))
    ]
