"""Runs a local computation for many clients in one call: the same graph, client after client, without Python between.

It is the graph that one client's call runs, in a loop of TensorFlow's own; nothing is vectorised, so the numbers are
the same to the last bit.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from federated.backends.structured import flat_types, tensor_spec
from federated.language.cohort import Clients, is_stackable
from federated.language.types import FunctionType, StructType, TensorType, Type


class EachClient:
    """One graph for all clients of a call.

    Args:
        function: of flat tensors, `(P -> R)` of the type.
    """

    def __init__(self, function: Any, type_: FunctionType) -> None:
        self._function = function
        self._type = type_
        self._specs = [tensor_spec(leaf) for leaf in flat_types(type_.result) if isinstance(leaf, TensorType)]
        self._loop: Any = None

    @property
    def is_possible(self) -> bool:
        """Whether every client's tensors have the same shapes, and are numbers."""
        parameter = flat_types(self._type.parameter)
        leaves = [*parameter, *flat_types(self._type.result)]
        return bool(parameter) and all(
            isinstance(leaf, TensorType) and is_stackable(leaf) and leaf.dtype.kind != "U" for leaf in leaves
        )

    def run(self, clients: Clients) -> Clients | None:
        """What the function gives for each; None where a client's call fails, to be found one by one."""
        if self._loop is None:
            self._loop = tf.function(self._each, autograph=False)
        assert self._type.parameter is not None  # noqa: S101 - `is_possible` has looked
        try:
            columns = self._loop(*_columns(self._type.parameter, clients.column))
        except tf.errors.OpError:
            return None
        return Clients(clients.count, _structured(self._type.result, iter([one.numpy() for one in columns])))

    def _each(self, *columns: Any) -> Sequence[Any]:
        given = tf.map_fn(lambda row: list(self._function(*row)), list(columns), fn_output_signature=self._specs)
        return list(given)


def _columns(type_: Type, column: Any) -> Iterator[Any]:
    if isinstance(type_, StructType):
        for element, inner in zip(type_, column, strict=True):
            yield from _columns(element, inner)
    else:
        yield tf.constant(np.ascontiguousarray(column))


def _structured(type_: Type, columns: Iterator[Any]) -> Any:
    if isinstance(type_, StructType):
        return tuple(_structured(element, columns) for element in type_)
    return next(columns)
