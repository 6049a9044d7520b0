"""Sums, means, maxima and products over axes of any rank, and running ones.

Adjacent axes that are all reduced or all kept count as one; if more than four are left, they are reduced one by one.
XNNPACK on LiteRT fails outright on a sum of rank seven, which the gradient of a repetition over four axes is.

    mean      the sum times 1/n            maximum, minimum    as they are, axis by axis
    cumsum    T x along the axis, with T the n×n triangle of ones
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from model_export.lowering.axes import MOST_AXES, along, reverse_axis
from model_export.lowering.folding import known_sizes
from model_export.lowering.linear import multiply_axis
from model_export.lowering.scope import Scope

_MOST_TRIANGLE = 512  # entries a side; above it, doubling steps cost less than the product


def _reduce(reduction: Callable[..., Any]) -> Callable[[Any, Sequence[Any], Scope], Sequence[Any] | None]:
    def lower(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any] | None:
        x, axes = inputs
        known = known_sizes(axes)
        if known is None or x.shape.rank <= MOST_AXES:
            return None
        reduced = {axis % x.shape.rank for axis in known}
        kept = [1 if axis in reduced else size for axis, size in enumerate(x.shape)]
        wanted = kept if op.get_attr("keep_dims") else [s for axis, s in enumerate(x.shape) if axis not in reduced]
        return [tf.reshape(_reduce_grouped(reduction, x, reduced), wanted)]

    return lower


def _reduce_grouped(reduction: Callable[..., Any], x: Any, reduced: set[int]) -> Any:
    groups = [
        (is_reduced, math.prod(x.shape[axis] for axis in axes))
        for is_reduced, axes in itertools.groupby(range(x.shape.rank), lambda axis: axis in reduced)
    ]
    x = tf.reshape(x, [size for _, size in groups])
    axes = [axis for axis, (is_reduced, _) in enumerate(groups) if is_reduced]
    if len(groups) <= MOST_AXES:
        return reduction(x, axes)
    for axis in axes:
        x = along(x, axis, lambda flat: reduction(flat, [1], keepdims=True))
    return x


def _cumulative_sum(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any] | None:
    x, axis = inputs
    (known,) = known_sizes(axis) or (None,)
    if known is None or x.dtype != tf.float32 or x.shape[known] > _MOST_TRIANGLE:
        return None
    size = x.shape[known]
    triangle = np.tril(np.ones([size, size], np.float32), -1 if op.get_attr("exclusive") else 0)
    if op.get_attr("reverse"):
        triangle = triangle.T
    return [multiply_axis(triangle, x, known % x.shape.rank)]


def _cumulative_product(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any] | None:
    """By doubling: after the step with distance d, every entry holds the product of the last 2d."""
    x, axis = inputs
    known = known_sizes(axis)
    if known is None:
        return None
    place = known[0] % x.shape.rank
    backwards, exclusive = op.get_attr("reverse"), op.get_attr("exclusive")
    if backwards:
        x = reverse_axis(x, place)
    x = along(x, place, lambda flat: _running_product(_delayed(flat, 1) if exclusive else flat))
    return [reverse_axis(x, place) if backwards else x]


def _running_product(flat: Any) -> Any:
    distance = 1
    while distance < flat.shape[1]:
        flat *= _delayed(flat, distance)
        distance *= 2
    return flat


def _delayed(flat: Any, distance: int) -> Any:
    """The entries `distance` places later, after ones."""
    before, size, after = flat.shape
    ones = tf.ones([before, distance, after], flat.dtype)
    return tf.concat([ones, tf.slice(flat, [0, 0, 0], [before, size - distance, after])], 1)


LOWERINGS = {
    "All": _reduce(tf.reduce_all),
    "Any": _reduce(tf.reduce_any),
    "Cumprod": _cumulative_product,
    "Cumsum": _cumulative_sum,
    "Max": _reduce(tf.reduce_max),
    "Mean": _reduce(tf.reduce_mean),
    "Min": _reduce(tf.reduce_min),
    "Prod": _reduce(tf.reduce_prod),
    "Sum": _reduce(tf.reduce_sum),
}
