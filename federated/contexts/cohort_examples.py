"""The values of a computation's clients as the examples that a plan's passes go through."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from federated.compiler.collections import Collections
from federated.compiler.naming import leaf_paths
from federated.compiler.parameters import Part
from federated.language.cohort import Clients, rows
from federated.language.streaming import StackedBatches
from federated.language.types import StructType, TensorType, Type
from wire.tensors import Array


@dataclass(frozen=True)
class MemoryExamples:
    """Examples in memory: for each field an array whose first axis is the example."""

    fields: Mapping[str, Array]
    count: int

    def __len__(self) -> int:
        return self.count

    def read(self, indices: Sequence[int]) -> dict[str, Array]:
        """The examples at these indices; a view of them where they follow one another."""
        if isinstance(indices, range) and indices.step == 1:
            return {name: values[indices.start : indices.stop] for name, values in self.fields.items()}
        return {name: values[indices] for name, values in self.fields.items()}


def examples_of(
    parts: Sequence[tuple[Part, Clients]], collections: Collections, cohort: int
) -> Iterator[dict[str, MemoryExamples]]:
    """Each client's examples, by collection.

    Args:
        parts: the client parts of the parameter, with their values.
    """
    columns = [(_Form.of(part, collections), rows(part.type, value)) for part, value in parts]
    for _ in range(cohort):
        yield {form.collection: _examples(form, next(values)) for form, values in columns}


@dataclass(frozen=True)
class _Form:
    """How a part of the parameter is kept: its collection, and a field and a type for each tensor of an example."""

    part: Part
    collection: str
    is_batch: bool
    fields: tuple[str, ...]
    leaves: tuple[Type, ...]

    @classmethod
    def of(cls, part: Part, collections: Collections) -> "_Form":
        """The form that the collections give a part."""
        leaves = list(leaf_paths(part.example, part.path))
        chosen = collections.of(part.path)
        fields = tuple(collections.field(part.path, path) for path, _ in leaves)
        is_batch = chosen.batch_size is not None
        return cls(part, chosen.collection, is_batch, fields, tuple(leaf for _, leaf in leaves))


def _examples(form: _Form, value: Any) -> MemoryExamples:
    fields = dict(zip(form.fields, _columns(form, value), strict=True))
    return MemoryExamples(fields, min((len(array) for array in fields.values()), default=0))


def _columns(form: _Form, value: Any) -> Sequence[Array]:
    """An array of all examples for each tensor of one."""
    if isinstance(value, StackedBatches):
        return value.leaves
    part = form.part
    elements = [list(_flat(part.example, element)) for element in (value if part.is_sequence else [value])]
    return [
        _stacked(leaf, [e[index] for e in elements], is_batch=form.is_batch) for index, leaf in enumerate(form.leaves)
    ]


def _stacked(leaf: Type, values: list[Any], *, is_batch: bool) -> Array:
    """The values along a new axis, or batches one after the other; bools as a program takes them."""
    assert isinstance(leaf, TensorType)  # noqa: S101 - an example holds no sequence
    shape = tuple(size or 0 for size in leaf.shape or ())
    dtype = np.dtype(np.uint8) if leaf.dtype == np.bool_ else leaf.dtype
    if not values:
        return np.zeros((0, *(shape[1:] if is_batch else shape)), dtype)
    joined: Array = np.concatenate(values) if is_batch else np.stack(values)
    return joined.astype(dtype, copy=False)


def _flat(type_: Type, value: Any) -> Iterator[Any]:
    if isinstance(type_, StructType):
        for element, inner in zip(type_, value, strict=True):
            yield from _flat(element, inner)
    else:
        yield value
