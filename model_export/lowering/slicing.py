"""Slices, reversals and reflections, and their gradients.

A slice takes from every axis the entries at a range of places; its gradient puts g back there and zeros elsewhere:

    y = x[first : last : step]      dx = g with |step| − 1 zeros between its entries, padded to the size of x

and for a negative step g is reversed first. A reflection adds to each entry the gradients of its mirror images. How
many entries are taken is always known; where is known when the program runs at the latest, and `indices` takes them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import EllipsisType
from typing import Any

import tensorflow as tf

from model_export.errors import LoweringError
from model_export.lowering.axes import MOST_AXES, cut_axis, pad_axis, reverse_axis, spread_axis
from model_export.lowering.folding import known_sizes, sizes_of
from model_export.lowering.indices import Entry, entries_of, from_the_front, gather, put_at
from model_export.lowering.scope import Scope


@dataclass(frozen=True, eq=False)
class AtRunTime:
    """The one place of an axis, a scalar tensor that may count from behind."""

    index: Any


Part = slice | int | AtRunTime | None


def _subscript(op: Any, rank: int, bounds: Sequence[Any]) -> list[Part]:
    """A subscript as Python writes it, with a slice for every axis that it leaves whole.

    The masks mean what they say in `tf.strided_slice`.

    Raises:
        LoweringError: how many places are taken is not known.
    """
    begin, end, strides = map(entries_of, bounds)
    masks = {name: op.get_attr(f"{name}_mask") for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")}
    parts = [_part(index, begin, end, strides, masks) for index in range(len(begin))]
    whole = [slice(None)] * (rank - sum(part is not None and part is not Ellipsis for part in parts))
    return list(_without_ellipsis(parts if Ellipsis in parts else [*parts, Ellipsis], whole))


def _without_ellipsis(parts: Sequence[Part | EllipsisType], whole: Sequence[slice]) -> Iterator[Part]:
    for part in parts:
        if isinstance(part, EllipsisType):
            yield from whole
        else:
            yield part


def _part(
    index: int, begin: Sequence[Entry], end: Sequence[Entry], strides: Sequence[Entry], masks: dict[str, int]
) -> Part | EllipsisType:
    bit = {name: bool(mask >> index & 1) for name, mask in masks.items()}
    if bit["ellipsis"]:
        return Ellipsis
    if bit["new_axis"]:
        return None
    if bit["shrink_axis"]:
        return begin[index] if isinstance(begin[index], int) else AtRunTime(begin[index])
    part = slice(None if bit["begin"] else begin[index], None if bit["end"] else end[index], strides[index])
    if any(isinstance(bound, tf.Tensor) for bound in (part.start, part.stop, part.step)):
        raise LoweringError(
            "takes as many entries as data say, but every shape must be known; take a known number with tf.slice, or "
            "all of them and mask those that do not count"
        )
    return part


def _places(parts: Sequence[Part], shape: Sequence[int]) -> list[range | AtRunTime]:
    """For every axis of the sliced tensor the places it takes; bounds are clamped as in Python."""
    return [_place(part, size) for part, size in zip((p for p in parts if p is not None), shape, strict=True)]


def _place(part: slice | int | AtRunTime, size: int) -> range | AtRunTime:
    if isinstance(part, slice):
        return range(*part.indices(size))
    if isinstance(part, AtRunTime):
        return part
    index = part % size
    return range(index, index + 1)


def _strided_slice(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any] | None:
    x, *bounds = inputs
    parts = _subscript(op, x.shape.rank, bounds)
    places = _places(parts, x.shape)
    if x.shape.rank <= MOST_AXES and not any(isinstance(taken, AtRunTime) for taken in places):
        return None
    for axis, taken in enumerate(places):
        x = _take(x, axis, taken)
    sizes = iter(x.shape)
    kept = [(part, 1 if part is None else next(sizes)) for part in parts]
    return [tf.reshape(x, [size for part, size in kept if part is None or isinstance(part, slice)])]


def _take(x: Any, axis: int, taken: range | AtRunTime) -> Any:
    if isinstance(taken, range):
        return cut_axis(x, axis, taken)
    return gather(x, tf.reshape(from_the_front(taken.index, x.shape[axis]), [1]), axis)


def _strided_slice_gradient(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    shape, *bounds, g = inputs
    sizes = sizes_of(shape)
    places = _places(_subscript(op, len(sizes), bounds), sizes)
    g = tf.reshape(g, [len(taken) if isinstance(taken, range) else 1 for taken in places])
    for axis, (taken, size) in enumerate(zip(places, sizes, strict=True)):
        if isinstance(taken, range):
            g = _put_back(g, axis, taken, size)
        else:
            g = put_at(g, axis, from_the_front(taken.index, size), size)
    return [g]


def _put_back(g: Any, axis: int, places: range, size: int) -> Any:
    """The gradient along one axis, at its places among `size`."""
    if not places:
        return tf.zeros([*g.shape[:axis], size, *g.shape[axis + 1 :]], g.dtype)
    if places.step < 0:
        g, places = reverse_axis(g, axis), places[::-1]
    step = places.step if len(places) > 1 else 1
    g = spread_axis(g, axis, step)
    return pad_axis(g, axis, places[0], size - places[0] - g.shape[axis])


def _slice(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any] | None:
    x, begin, size = inputs
    firsts, counts = entries_of(begin), sizes_of(size)
    if x.shape.rank <= MOST_AXES and all(isinstance(first, int) for first in firsts):
        return None
    for axis, (first, count) in enumerate(zip(firsts, counts, strict=True)):
        if isinstance(first, int):
            x = cut_axis(x, axis, range(first, x.shape[axis] if count < 0 else first + count))
        elif count < 0:
            raise LoweringError("takes as many entries as data say, but every shape must be known; say how many")
        else:
            x = gather(x, first + tf.range(count, dtype=first.dtype), axis)
    return [x]


def _pad(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any] | None:
    x, paddings = inputs
    amounts = known_sizes(paddings)
    if x.shape.rank <= MOST_AXES or amounts is None:
        return None
    for axis in range(x.shape.rank):
        x = pad_axis(x, axis, amounts[2 * axis], amounts[2 * axis + 1])
    return [x]


def _mirror_pad_gradient(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    g, paddings = inputs
    amounts = known_sizes(paddings)
    if amounts is None:
        raise LoweringError("mirrors an amount that depends on data, but every shape must be known")
    edge = 1 if op.get_attr("mode") == b"REFLECT" else 0
    for axis in range(g.shape.rank):
        g = _fold_back(g, axis, amounts[2 * axis], amounts[2 * axis + 1], edge)
    return [g]


def _fold_back(g: Any, axis: int, before: int, after: int, edge: int) -> Any:
    """Add the mirrored margins to the entries they mirror; `edge` is 1 if the outermost entry is not mirrored."""
    size = g.shape[axis] - before - after
    center = cut_axis(g, axis, range(before, before + size))
    if before:
        margin = reverse_axis(cut_axis(g, axis, range(before)), axis)
        center += pad_axis(margin, axis, edge, size - before - edge)
    if after:
        margin = reverse_axis(cut_axis(g, axis, range(before + size, before + size + after)), axis)
        center += pad_axis(margin, axis, size - after - edge, edge)
    return center


def _reverse(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any] | None:
    x, axes = inputs
    known = known_sizes(axes)
    if known is None:
        return None
    for axis in known:
        x = reverse_axis(x, axis % x.shape.rank)
    return [x]


LOWERINGS = {
    "MirrorPadGrad": _mirror_pad_gradient,
    "Pad": _pad,
    "ReverseV2": _reverse,
    "Slice": _slice,
    "StridedSlice": _strided_slice,
    "StridedSliceGrad": _strided_slice_gradient,
}
