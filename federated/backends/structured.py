"""Types of the language and structures of TensorFlow: what a local function is called with, and what it gives.

A value is flat here: a tensor for every leaf of its type, in the type's order; a sequence is one tensor too, the
variant that stands for a `tf.data.Dataset`.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import is_dataclass
from typing import Any

import tensorflow as tf

from federated.language.containers import build
from federated.language.errors import MisuseError
from federated.language.structures import Element, Struct, elements_of
from federated.language.types import SequenceType, StructType, StructWithPythonType, TensorType, Type, to_type

VARIANT = tf.TensorSpec([], tf.variant)

ToDataset = Callable[[Any, SequenceType], Any]


def flat_types(type_: Type | None) -> list[TensorType | SequenceType]:
    """The leaves of a type: tensors and sequences.

    Raises:
        MisuseError: something else is in it.
    """
    return [] if type_ is None else list(_leaves(type_))


def flat_specs(type_: Type | None) -> list[tf.TensorSpec]:
    """TensorFlow's specs of the leaves."""
    return [VARIANT if isinstance(leaf, SequenceType) else tensor_spec(leaf) for leaf in flat_types(type_)]


def tensor_spec(type_: TensorType) -> tf.TensorSpec:
    """TensorFlow's spec of a tensor."""
    return tf.TensorSpec(type_.shape, tf.string if type_.dtype.kind == "U" else type_.dtype)


def element_spec(type_: Type) -> Any:
    """TensorFlow's nested specs of a sequence's element; its containers are those that TensorFlow knows."""
    return nested(type_, [tensor_spec(leaf) for leaf in _leaves(type_) if isinstance(leaf, TensorType)])


def nested(type_: Type, leaves: Sequence[Any]) -> Any:
    """Leaves in containers that TensorFlow's own structures may have: as remembered, or an OrderedDict, or a tuple."""
    remaining = iter(leaves)

    def of(part: Type) -> Any:
        if not isinstance(part, StructType):
            return next(remaining)
        elements = [of(element) for element in part]
        if part.python_container is not None and not is_dataclass(part.python_container):
            built = build(part, elements)
            if not isinstance(built, Struct):
                return built
        names = part.names()
        return tuple(elements) if None in names else OrderedDict(zip(names, elements, strict=True))

    return of(type_)


def leaves_of(type_: Type, value: Any) -> list[Any]:
    """The leaves of `nested`, in the type's order; `tf.nest` goes through a dict in the order of its keys."""
    if not isinstance(type_, StructType):
        return [value]
    elements = elements_of(value)
    assert elements is not None  # noqa: S101 - it is what `nested` made
    return [
        leaf
        for part, (_, inner) in zip(type_, _ordered(type_, elements), strict=True)
        for leaf in leaves_of(part, inner)
    ]


def dataset_of(variant: Any, type_: SequenceType) -> Any:
    """The data set that a variant stands for."""
    return tf.data.experimental.from_variant(variant, element_spec(type_.element))


def structured(type_: Type, flat: Sequence[Any], to_dataset: ToDataset = dataset_of) -> Any:
    """What a local function is called with: the leaves in their containers, and data sets for sequences."""
    remaining = iter(flat)

    def of(part: Type) -> Any:
        if isinstance(part, StructType):
            return build(part, [of(element) for element in part])
        leaf = next(remaining)
        return to_dataset(leaf, part) if isinstance(part, SequenceType) else leaf

    return of(type_)


def flattened(value: Any) -> tuple[Type, list[Any]]:
    """The type and the flat form of what a local function gave.

    Raises:
        MisuseError: it gave something that is neither a tensor, a data set nor a structure of them.
    """
    if getattr(value, "stands_for_a_dataset", False):
        return SequenceType(to_type(value.element_spec)), [value]
    if isinstance(value, tf.data.Dataset):
        return SequenceType(to_type(value.element_spec)), [tf.data.experimental.to_variant(value)]
    elements = elements_of(value)
    if elements is not None:
        parts = [(name, flattened(element)) for name, element in elements]
        typed = [(name, type_) for name, (type_, _) in parts]
        struct = StructType(typed) if isinstance(value, Struct) else StructWithPythonType(typed, type(value))
        return struct, [leaf for _, (_, leaves) in parts for leaf in leaves]
    if value is None:
        raise MisuseError("a local computation gives nothing", fix="return a tensor or a structure of tensors")
    try:
        tensor = tf.convert_to_tensor(value)
    except (TypeError, ValueError) as error:
        raise MisuseError(
            f"a local computation gives a {type(value).__name__}, which is no tensor",
            fix="return tensors, data sets, and structures of them",
        ) from error
    shape = None if tensor.shape.rank is None else tensor.shape.as_list()
    return TensorType(str if tensor.dtype == tf.string else tensor.dtype.as_numpy_dtype, shape), [tensor]


def _ordered(type_: StructType, elements: list[Element]) -> list[Element]:
    """A data set gives a dict back in an order of its own."""
    given = dict(elements)
    return elements if None in given else [(name, given[name]) for name in type_.names()]


def _leaves(type_: Type) -> Iterator[TensorType | SequenceType]:
    if isinstance(type_, StructType):
        for element in type_:
            yield from _leaves(element)
    elif isinstance(type_, (TensorType, SequenceType)):
        yield type_
    else:
        raise MisuseError(
            f"a local computation takes tensors, sequences and structures of them, found {type_}",
            fix="a federated value goes into a fed.federated_computation",
        )
