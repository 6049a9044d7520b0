"""Slices, reversals and reflections, and their gradients.

A slice takes from every axis the entries at a range of places; its gradient puts g back there and zeros elsewhere:

    y = x[first : last : step]      dx = g with |step| − 1 zeros between its entries, padded to the size of x

and for a negative step g is reversed first. A reflection adds to each entry the gradients of its mirror images.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from model_export.errors import LoweringError
from model_export.lowering.axes import MOST_AXES, cut_axis, pad_axis, reverse_axis, spread_axis
from model_export.lowering.folding import known_sizes
from model_export.lowering.scope import Scope


def _places(op: Any, shape: Sequence[int], bounds: Sequence[Any]) -> list[range] | None:
    """For every axis of the sliced tensor the places it takes, or None if they are not known.

    The masks mean what they say in `tf.strided_slice`; bounds are clamped as in Python.
    """
    begin, end, strides = map(known_sizes, bounds)
    if begin is None or end is None or strides is None:
        return None
    masks = {name: op.get_attr(f"{name}_mask") for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")}
    parts = [_part(index, begin, end, strides, masks) for index in range(len(begin))]
    ellipsis = parts.index(Ellipsis) if Ellipsis in parts else len(parts)
    taken = [part for part in parts if part is not Ellipsis and part is not None]
    first = sum(part is not None for part in parts[:ellipsis])
    whole = [slice(None)] * (len(shape) - len(taken))
    slices = [*taken[:first], *whole, *taken[first:]]
    return [_range(part, size) for part, size in zip(slices, shape, strict=True)]


def _part(index: int, begin: Sequence[int], end: Sequence[int], strides: Sequence[int], masks: dict[str, int]) -> Any:
    """One entry of a subscript as Python writes it: a slice, an index, None or an ellipsis."""
    bit = {name: bool(mask >> index & 1) for name, mask in masks.items()}
    if bit["ellipsis"]:
        return Ellipsis
    if bit["new_axis"]:
        return None
    if bit["shrink_axis"]:
        return begin[index]
    return slice(None if bit["begin"] else begin[index], None if bit["end"] else end[index], strides[index])


def _range(part: slice | int, size: int) -> range:
    if isinstance(part, slice):
        return range(*part.indices(size))
    index = part % size
    return range(index, index + 1)


def _strided_slice(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any] | None:
    x, *bounds = inputs
    places = _places(op, x.shape, bounds) if x.shape.rank > MOST_AXES else None
    if places is None:
        return None
    for axis, taken in enumerate(places):
        x = cut_axis(x, axis, taken)
    return [tf.reshape(x, op.outputs[0].shape)]


def _strided_slice_gradient(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    shape, *bounds, g = inputs
    sizes = known_sizes(shape)
    places = None if sizes is None else _places(op, sizes, bounds)
    if sizes is None or places is None:
        raise LoweringError("is the gradient of a slice whose place depends on data; take it with tf.gather instead")
    g = tf.reshape(g, [len(taken) for taken in places])
    for axis, (taken, size) in enumerate(zip(places, sizes, strict=True)):
        g = _put_back(g, axis, taken, size)
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
    firsts, counts = known_sizes(begin), known_sizes(size)
    if x.shape.rank <= MOST_AXES or firsts is None or counts is None:
        return None
    for axis, (first, count) in enumerate(zip(firsts, counts, strict=True)):
        x = cut_axis(x, axis, range(first, x.shape[axis] if count < 0 else first + count))
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
