"""Runtime values (`federated.language.cohort`) as flat tensors of TensorFlow, and back."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from federated.backends.structured import dataset_of, element_spec, flat_types, leaves_of, nested, tensor_spec
from federated.language.arrays import to_array
from federated.language.cohort import is_stackable
from federated.language.errors import ExecutionError, ValueMismatchError
from federated.language.types import SequenceType, StructType, TensorType, Type


def to_flat(type_: Type | None, value: Any) -> list[Any]:
    """The tensors of a runtime value."""
    return [] if type_ is None else list(_flat(type_, value))


def from_flat(type_: Type, flat: Sequence[Any]) -> Any:
    """The runtime value of some tensors."""
    remaining = iter(flat)

    def of(part: Type) -> Any:
        if isinstance(part, StructType):
            return tuple(of(element) for element in part)
        leaf = next(remaining)
        if not isinstance(part, SequenceType):
            return _array(leaf, part)
        return [from_flat(part.element, leaves_of(part.element, element)) for element in dataset_of(leaf, part)]

    return of(type_)


def _flat(type_: Type, value: Any) -> Iterator[Any]:
    if isinstance(type_, StructType):
        for element, inner in zip(type_, value, strict=True):
            yield from _flat(element, inner)
    elif isinstance(type_, SequenceType):
        yield tf.data.experimental.to_variant(_dataset(type_.element, value))
    else:
        assert isinstance(type_, TensorType)  # noqa: S101 - flat_types has looked
        yield tf.constant(value, tensor_spec(type_).dtype)


def _dataset(element: Type, values: Sequence[Any]) -> Any:
    types = flat_types(element)
    rows = [to_flat(element, value) for value in values]
    if rows and types and all(isinstance(leaf, TensorType) and is_stackable(leaf) for leaf in types):
        return tf.data.Dataset.from_tensor_slices(
            nested(element, [tf.stack(column) for column in zip(*rows, strict=True)])
        )

    def each() -> Iterable[Any]:
        return (nested(element, row) for row in rows)

    return tf.data.Dataset.from_generator(each, output_signature=element_spec(element))


def _array(tensor: Any, type_: Type) -> Any:
    value = tensor.numpy()
    if not isinstance(type_, TensorType) or tensor.dtype != tf.string:
        return np.asarray(value)
    try:
        return to_array(TensorType(str, tensor.shape.as_list()), value, "a result")
    except ValueMismatchError as error:
        raise ExecutionError(error.message, fix="encode bytes as text, for instance with tf.io.encode_base64") from None
