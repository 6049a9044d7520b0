"""The type of an argument with every shape known: devices compute with no other.

What the type leaves open, the values say. The elements of a sequence may leave their first size open, as batches do;
then all batches have one size, and a device makes batches of that size of its examples.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from federated.compiler.parameters import Part
from federated.language.cohort import Clients, rows
from federated.language.errors import CompilationError
from federated.language.origin import Origin
from federated.language.streaming import StreamedClients
from federated.language.types import FederatedType, SequenceType, StructType, TensorType, Type


def known(part: Part, value: Any) -> tuple[Type, int | None]:
    """The type of a part of the parameter with every shape known, and the batch size of its sequences, if it has one.

    Args:
        value: its runtime value, a `Clients` where clients have it.

    Raises:
        CompilationError: the values disagree, or leave something open.
    """
    if isinstance(value, Clients) and isinstance(value.column, StreamedClients):
        return _streamed(part, value.column)
    values = list(rows(part.type, value)) if part.is_clients and isinstance(value, Clients) else [value]
    if not isinstance(part.type, SequenceType):
        return _known(part.type, values, part.path), None
    elements = [element for one in values for element in one]
    is_batched = any(leaf.shape and leaf.shape[0] is None for leaf in _tensors(part.type.element))
    element = _known(part.type.element, elements, part.path)
    sizes = {leaf.shape[0] for leaf in _tensors(element) if leaf.shape}
    if not is_batched:
        return SequenceType(element), None
    if len(sizes) != 1:
        raise CompilationError(
            f"the batches of {part.path!r} have tensors of different lengths: {element}",
            fix="give the tensors of a batch one example each along their first axis, or declare their sizes",
        )
    return SequenceType(element), sizes.pop()


def _streamed(part: Part, clients: StreamedClients) -> tuple[Type, int]:
    shapes = iter(clients.batch_shapes)
    element = _with_shapes(part.example, shapes)
    return SequenceType(element), clients.batch_shapes[0][0]


def _with_shapes(type_: Type, shapes: Iterator[tuple[int, ...]]) -> Type:
    if isinstance(type_, StructType):
        return type_.with_elements([_with_shapes(element, shapes) for element in type_])
    assert isinstance(type_, TensorType)  # noqa: S101 - a batch holds no sequence
    return TensorType(type_.dtype, next(shapes))


def with_parts(type_: Type, types: Iterator[Type]) -> Type:
    """A parameter's type with the types of its parts replaced, in their order."""
    if isinstance(type_, FederatedType):
        return FederatedType(next(types), type_.placement, type_.all_equal)
    if isinstance(type_, StructType):
        return type_.with_elements([with_parts(element, types) for element in type_])
    return next(types)


def _known(type_: Type, values: list[Any], path: str) -> Type:
    if isinstance(type_, StructType):
        columns = [[value[index] for value in values] for index in range(len(type_))]
        return type_.with_elements([_known(e, column, path) for e, column in zip(type_, columns, strict=True)])
    if not isinstance(type_, TensorType):
        return type_  # a sequence inside a structure, which the compiler refuses with the user's line
    if type_.shape is not None and None not in type_.shape:
        return type_
    shapes = {np.shape(value) for value in values}
    if len(shapes) > 1:
        listed = ", ".join(str(list(shape)) for shape in sorted(shapes))
        raise CompilationError(
            f"the values of {path!r} have the shapes {listed}; a device computes with one",
            fix="make batches of one size, dataset.batch(n, drop_remainder=True), or pad the values",
        )
    if not shapes:
        return TensorType(type_.dtype, [1 if size is None else size for size in type_.shape or ()])
    return TensorType(type_.dtype, shapes.pop())


def _tensors(type_: Type) -> Iterator[TensorType]:
    if isinstance(type_, TensorType):
        yield type_
    for child in type_.children():
        yield from _tensors(child)


def closed_type(part: Part, where: Origin | None) -> Type:
    """The type of a part of the parameter whose shapes are all known already.

    Raises:
        CompilationError: one is left open.
    """
    if leaf := next((leaf for leaf in _tensors(part.type) if leaf.shape is None or None in leaf.shape), None):
        raise CompilationError(
            f"the shape of {leaf} in {part.path!r} is open",
            where=where,
            fix="compile it for example arguments, fed.compiled(computation, …), which tell it",
        )
    return part.type


def with_batch(part: Part, batch_size: int | None) -> Type:
    """The type of a client's part of the parameter, whose sequences have batches of this size.

    Raises:
        CompilationError: a shape is left open, or the elements are no batches of this size.
    """
    if not isinstance(part.type, SequenceType):
        return _closed(part, part.type)
    if batch_size is None:
        return SequenceType(_closed(part, part.type.element))
    return SequenceType(_closed(part, _batched(part, part.type.element, batch_size)))


def _batched(part: Part, type_: Type, batch_size: int) -> Type:
    if isinstance(type_, StructType):
        return type_.with_elements([_batched(part, element, batch_size) for element in type_])
    assert isinstance(type_, TensorType)  # noqa: S101 - a sequence holds no sequence
    if not type_.shape or type_.shape[0] not in (None, batch_size):
        raise CompilationError(
            f"the elements of {part.path!r} hold {type_}, which is no batch of {batch_size} examples",
            fix="leave the batch_size of on_device out to go through single examples",
        )
    return TensorType(type_.dtype, [batch_size, *type_.shape[1:]])


def _closed(part: Part, type_: Type) -> Type:
    for leaf in _tensors(type_):
        if leaf.shape is None or None in leaf.shape:
            raise CompilationError(
                f"the shape of {leaf} in {part.path!r} is open, and what devices hold is not known here",
                fix="say batch_size in on_device where its first size is a batch's, or declare the size",
            )
    return type_
