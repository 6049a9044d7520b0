"""TensorFlow's lists of tensors, as Python tuples: once loops are unrolled, every index into a list is known.

Loops keep in lists what they collect (`TensorArray`) and what their gradients need. An entry that was never set counts
as zeros; so adding lists, which is how gradients of a list meet, costs nothing where only one of them holds an entry.
"""

import functools
import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import tensorflow as tf

from model_export.errors import LoweringError
from model_export.lowering.folding import known_sizes
from model_export.lowering.indices import gather
from model_export.lowering.scope import Scope


@dataclass(frozen=True)
class TensorList:
    """A list of tensors of one dtype; an entry of None is all zeros."""

    entries: tuple[Any, ...]
    dtype: Any
    entry_shape: Any

    @property
    def shape(self) -> Any:
        """A list is a scalar to the graph it stands in."""
        return tf.TensorShape([])

    def entry(self, index: int, shape: Any = None) -> Any:
        """The tensor at an index."""
        entry = self.entries[index]
        return self._zeros(shape) if entry is None else entry

    def tensors(self, shape: Any = None) -> list[Any]:
        """Every entry as a tensor."""
        return [self.entry(index, shape) for index in range(len(self.entries))]

    def best_shape(self, shape: Any = None) -> Any:
        """All that is known of the shape of an entry, from the list and from the one who asks."""
        best = self.entry_shape if shape is None else self.entry_shape.merge_with(shape)
        present = next((entry for entry in self.entries if entry is not None), None)
        return best if best.is_fully_defined() or present is None else present.shape

    def _zeros(self, shape: Any) -> Any:
        best = self.best_shape(shape)
        if not best.is_fully_defined():
            raise LoweringError(f"reads an entry of unknown shape {best} that was never written; give its shape")
        return tf.zeros(best, self.dtype)


def _index(value: Any) -> int:
    known = known_sizes(value)
    if known is None:
        raise LoweringError("takes an entry whose index depends on data; take it from one tensor, with tf.gather")
    return known[0]


def _shape_of(value: Any) -> Any:
    """The shape in a tensor: -1 stands for an unknown size, and a scalar -1 for an unknown rank."""
    known = known_sizes(value)
    if known is None or value.shape.rank == 0:
        return tf.TensorShape(None)
    return tf.TensorShape([None if size < 0 else size for size in known])


def _empty(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    return [TensorList((), op.get_attr("element_dtype"), _shape_of(inputs[0]))]


def _reserve(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    shape, count = inputs
    return [TensorList((None,) * _index(count), op.get_attr("element_dtype"), _shape_of(shape))]


def _from_tensor(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    return [_list_of(tf.unstack(inputs[0]), inputs[0].dtype, inputs[0].shape[1:])]


def _list_of(entries: Sequence[Any], dtype: Any, shape: Any) -> TensorList:
    return TensorList(tuple(entries), dtype, tf.TensorShape(shape))


def _scatter(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    tensor, indices, _, count = inputs
    return [_written(_list_of((None,) * _index(count), tensor.dtype, tensor.shape[1:]), tensor, indices)]


def _scatter_into(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    return [_written(*inputs)]


def _written(source: TensorList, tensor: Any, indices: Any) -> TensorList:
    """The list after the rows of a tensor were written to it."""
    places = known_sizes(indices)
    if places is None:
        raise LoweringError("writes entries whose indices depend on data; write to one tensor, with tf.scatter_nd")
    entries = [*source.entries, *(None,) * (max(places, default=-1) + 1 - len(source.entries))]
    for place, entry in zip(places, tf.unstack(tensor), strict=True):
        entries[place] = entry
    return replace(source, entries=tuple(entries))


def _get(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    source, index, shape = inputs
    return [source.entry(_index(index), _shape_of(shape).merge_with(op.outputs[0].shape))]


def _set(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    source, index, entry = inputs
    place = _index(index)
    entries = [*source.entries, *(None,) * (place + 1 - len(source.entries))]
    entries[place] = entry
    return [replace(source, entries=tuple(entries))]


def _push(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    source, entry = inputs
    return [replace(source, entries=(*source.entries, entry))]


def _pop(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    source, shape = inputs
    entry = source.entry(-1, _shape_of(shape).merge_with(op.outputs[1].shape))
    return [replace(source, entries=source.entries[:-1]), entry]


def _stack(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    source, shape = inputs
    return [tf.stack(source.tensors(_shape_of(shape)))]


def _gather(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    source, indices, shape = inputs
    places = known_sizes(indices)
    if places is None:
        return [gather(tf.stack(source.tensors(_shape_of(shape))), indices)]
    return [tf.stack([source.entry(place, _shape_of(shape)) for place in places])]


def _concatenate(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    tensors = inputs[0].tensors()
    return [tf.concat(tensors, 0), tf.constant([tensor.shape[0] for tensor in tensors], tf.int64)]


def _split(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    tensor, _, lengths = inputs
    sizes = known_sizes(lengths)
    if sizes is None:
        raise LoweringError("splits into lengths that depend on data, but every shape must be known")
    return [_list_of(tf.split(tensor, sizes), tensor.dtype, [None, *tensor.shape[1:]])]


def _resize(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    source, size = inputs
    wanted = _index(size)
    return [replace(source, entries=(*source.entries, *(None,) * wanted)[:wanted])]


def _length(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    return [tf.constant(len(inputs[0].entries), tf.int32)]


def _entry_shape(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    shape = inputs[0].best_shape()
    sizes = -1 if shape.rank is None else [-1 if size is None else size for size in shape]
    return [tf.constant(sizes, op.outputs[0].dtype)]


def _zeros_like(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    source = inputs[0]
    return [TensorList((None,) * len(source.entries), source.dtype, source.best_shape())]


def _add(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    longest = max(len(source.entries) for source in inputs)
    columns = ([source.entries[index] for source in inputs if index < len(source.entries)] for index in range(longest))
    return [replace(inputs[0], entries=tuple(_sum(column) for column in columns))]


def _sum(entries: Sequence[Any]) -> Any:
    present = [entry for entry in entries if entry is not None]
    return functools.reduce(operator.add, present) if present else None


# Ops that mean something else where they take lists.
ON_LISTS = {"AddN": _add, "AddV2": _add, "ZerosLike": _zeros_like}

LOWERINGS = {
    "EmptyTensorList": _empty,
    "TensorListConcatV2": _concatenate,
    "TensorListElementShape": _entry_shape,
    "TensorListFromTensor": _from_tensor,
    "TensorListGather": _gather,
    "TensorListGetItem": _get,
    "TensorListLength": _length,
    "TensorListPopBack": _pop,
    "TensorListPushBack": _push,
    "TensorListReserve": _reserve,
    "TensorListResize": _resize,
    "TensorListScatterIntoExistingList": _scatter_into,
    "TensorListScatterV2": _scatter,
    "TensorListSetItem": _set,
    "TensorListSplit": _split,
    "TensorListStack": _stack,
}
