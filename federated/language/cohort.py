"""The runtime values at clients: one column for all of them, so that ten thousand scalars are one array.

    tensor      an array whose first axis is the client; a list of arrays where sizes are not known
    structure   a tuple of its elements' columns
    sequence    a list of the clients' lists

`Clients` is such a column with the number of clients. A runtime value of one place follows its type: a tensor is an
array, a structure a tuple, a sequence a list, a function a Python function.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from federated.language.types import StructType, TensorType, Type


@dataclass(frozen=True)
class Clients:
    """The values of a federated type at CLIENTS.

    Attributes:
        count: how many clients there are.
        column: their values; see the module's description.
        shared: the runtime value that all of them have, where the type says that it is one; even of no clients.
    """

    count: int
    column: Any
    shared: Any = None


def rows(type_: Type, clients: Clients) -> Iterator[Any]:
    """Each client's runtime value."""
    if isinstance(type_, StructType):
        columns = [
            rows(element, Clients(clients.count, column)) for element, column in zip(type_, clients.column, strict=True)
        ]
        return zip(*columns, strict=True) if columns else iter([()] * clients.count)
    return iter(clients.column)


def stacked(type_: Type, values: Sequence[Any]) -> Clients:
    """The clients whose runtime values these are."""
    return Clients(len(values), _column(type_, values))


def repeated(type_: Type, value: Any, count: int) -> Clients:
    """So many clients with the same runtime value, in the memory of one."""
    return Clients(count, _repeated(type_, value, count), value)


def is_stackable(type_: TensorType) -> bool:
    """Whether every client's tensor has the same, known shape."""
    return type_.shape is not None and None not in type_.shape


def _column(type_: Type, values: Sequence[Any]) -> Any:
    if isinstance(type_, StructType):
        return tuple(_column(element, [value[index] for value in values]) for index, element in enumerate(type_))
    if isinstance(type_, TensorType) and is_stackable(type_):
        return np.array(values, type_.dtype).reshape(len(values), *(type_.shape or ()))
    return list(values)


def _repeated(type_: Type, value: Any, count: int) -> Any:
    if isinstance(type_, StructType):
        return tuple(_repeated(element, value[index], count) for index, element in enumerate(type_))
    if isinstance(type_, TensorType) and is_stackable(type_):
        array = np.asarray(value, type_.dtype)
        return np.broadcast_to(array, (count, *array.shape))
    return [value] * count
