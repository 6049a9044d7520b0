"""The gradients of two-dimensional pools; the pools themselves are builtin.

Average: every position gets g / n from each window over it, n being the positions of that window inside the image.
Maximum: the *first* position of a window, in row-major order, that equals the maximum gets all of g, as TensorFlow has
it. With e_t = [x_t = y] for tap t of the window and free_1 = 1,

    taken_t = e_t · free_t        free_{t+1} = free_t − taken_t        dx_t = taken_t · g

Windows that tile the image are rearranged with SPACE_TO_DEPTH or a resize; all others go tap by tap.
"""

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from model_export.errors import LoweringError
from model_export.lowering.folding import sizes_of
from model_export.lowering.scope import Scope
from model_export.lowering.windows import Axis, axes_of, cut, pad_image, spread

LOWEST = -3.4e38  # stands for minus infinity around an image; no activation is that small
_UNDILATED = (1, 1, 1, 1)


def _axes(op: Any, image: Sequence[int]) -> tuple[Axis, Axis]:
    ksize = op.get_attr("ksize")
    if op.get_attr("data_format") != b"NHWC" or ksize[0] != 1 or ksize[3] != 1:
        raise LoweringError("is not a channels_last pool over height and width, the only one with a lowering")
    return axes_of(op, image, ksize[1:3], _UNDILATED)


def _max_pool_gradient(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    x, y, gradient = inputs
    rows, columns = _axes(op, x.shape)
    if rows.tiles and columns.tiles and rows.taps == columns.taps:
        return [_tiled_max(x, y, gradient, rows, columns)]
    padded = pad_image(x, *_margins(rows, columns), value=LOWEST)
    batch, channels = x.shape[0], x.shape[3]
    size, step = [batch, rows.places, columns.places, channels], [1, rows.stride, columns.stride, 1]
    taps = [cut(padded, [0, i, j, 0], size, step) for i in range(rows.taps) for j in range(columns.taps)]
    shares = first_maximum(taps, y)
    return [_scatter(lambda tap: shares[tap] * gradient, rows, columns)]


def _tiled_max(x: Any, y: Any, gradient: Any, rows: Axis, columns: Axis) -> Any:
    taps, (batch, height, width, channels) = rows.taps, x.shape
    used = [batch, rows.places * taps, columns.places * taps, channels]
    blocks = tf.split(tf.nn.space_to_depth(cut(x, [0, 0, 0, 0], used), taps), taps * taps, -1)
    pieces = [share * gradient for share in first_maximum(blocks, y)]
    dx = tf.nn.depth_to_space(tf.concat(pieces, -1), taps)
    return pad_image(dx, (0, height - used[1]), (0, width - used[2]))


def first_maximum(taps: Sequence[Any], y: Any) -> list[Any]:
    """For every tap 1 where it is the first of its window to equal the maximum y, else 0."""
    shares: list[Any] = []
    free = None
    for tap in taps:
        equal = tf.cast(tf.equal(tap, y), y.dtype)
        taken = equal if free is None else equal * free
        free = 1.0 - taken if free is None else free - taken
        shares.append(taken)
    return shares


def _average_pool_gradient(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    sizes, gradient = inputs
    rows, columns = _axes(op, sizes_of(sizes))
    if rows.tiles and columns.tiles:
        return [_tiled_average(gradient, rows, columns)]
    counts = np.outer(inside(rows), inside(columns))[np.newaxis, :, :, np.newaxis]
    shared = gradient * (1.0 / counts).astype(np.float32)
    return [_scatter(lambda tap: shared, rows, columns)]


def _tiled_average(gradient: Any, rows: Axis, columns: Axis) -> Any:
    height, width = rows.places * rows.taps, columns.places * columns.taps
    dx = tf.raw_ops.ResizeNearestNeighbor(
        images=gradient * (1.0 / (rows.taps * columns.taps)),
        size=[height, width],
        align_corners=False,
        half_pixel_centers=False,
    )
    return pad_image(dx, (0, rows.size - height), (0, columns.size - width))


def inside(axis: Axis) -> Any:
    """For every place of the window, how many of its positions lie inside the image."""
    first = np.arange(axis.places) * axis.stride - axis.before
    return np.minimum(first + axis.taps, axis.size) - np.maximum(first, 0)


def _scatter(share: Callable[[int], Any], rows: Axis, columns: Axis) -> Any:
    """The sum over taps of `share(tap)`, each value put back where that tap looked."""
    (_, below), (_, right) = _margins(rows, columns)
    height, width = rows.before + rows.size + below, columns.before + columns.size + right

    def placed(tap: int) -> Any:
        i, j = divmod(tap, columns.taps)
        g = spread(share(tap), rows.stride, columns.stride)
        return pad_image(g, (i, height - i - g.shape[1]), (j, width - j - g.shape[2]))

    total = functools.reduce(operator.add, map(placed, range(rows.taps * columns.taps)))
    return cut(total, [0, rows.before, columns.before, 0], [total.shape[0], rows.size, columns.size, total.shape[3]])


def _margins(rows: Axis, columns: Axis) -> tuple[tuple[int, int], tuple[int, int]]:
    return (rows.before, rows.after), (columns.before, columns.after)


LOWERINGS = {"AvgPoolGrad": _average_pool_gradient, "MaxPoolGrad": _max_pool_gradient}
