"""The gradients of two-dimensional pools; the pools themselves are builtin.

Average: every position gets g / n from each window over it, n being the positions of that window inside the image.
Maximum: the *first* position of a window, in row-major order, that equals the maximum gets all of g, as TensorFlow has
it. With e_t = [x_t = y] for tap t of the window and g_1 = g, each tap takes its share of what is left,

    dx_t = e_t · g_t        g_{t+1} = g_t − dx_t

Windows that tile the image are rearranged with SPACE_TO_DEPTH or a resize; all others go tap by tap.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from model_export.errors import LoweringError
from model_export.lowering.folding import sizes_of
from model_export.lowering.scope import Scope
from model_export.lowering.windows import Axis, axes_of, cut, pad_image, put_back_taps, take_all_taps

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
    taps = take_all_taps(x, rows, columns, LOWEST)
    return [_put_back(shares_of_maximum(taps, y, gradient), rows, columns)]


def _tiled_max(x: Any, y: Any, gradient: Any, rows: Axis, columns: Axis) -> Any:
    taps, (batch, height, width, channels) = rows.taps, x.shape
    used = [batch, rows.places * taps, columns.places * taps, channels]
    blocks = tf.split(tf.nn.space_to_depth(cut(x, [0, 0, 0, 0], used), taps), taps * taps, -1)
    dx = tf.nn.depth_to_space(tf.concat(shares_of_maximum(blocks, y, gradient), -1), taps)
    return pad_image(dx, (0, height - used[1]), (0, width - used[2]))


def shares_of_maximum(taps: Sequence[Any], y: Any, gradient: Any) -> list[Any]:
    """For every tap the gradient where it is the first of its window to equal the maximum y, else 0."""
    shares: list[Any] = []
    for tap in taps:
        if shares:
            gradient -= shares[-1]
        shares.append(tf.cast(tf.equal(tap, y), y.dtype) * gradient)
    return shares


def _average_pool_gradient(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    sizes, gradient = inputs
    rows, columns = _axes(op, sizes_of(sizes))
    if rows.tiles and columns.tiles:
        return [_tiled_average(gradient, rows, columns)]
    counts = np.outer(inside(rows), inside(columns))[np.newaxis, :, :, np.newaxis]
    shared = gradient * (1.0 / counts).astype(np.float32)
    return [_put_back([shared] * (rows.taps * columns.taps), rows, columns)]


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


def _put_back(shares: Sequence[Any], rows: Axis, columns: Axis) -> Any:
    """The sum over taps, in row-major order, of their shares, each value where that tap looked."""
    lines = [shares[first : first + columns.taps] for first in range(0, len(shares), columns.taps)]
    return put_back_taps([put_back_taps(line, columns, 2) for line in lines], rows, 1)


LOWERINGS = {"AvgPoolGrad": _average_pool_gradient, "MaxPoolGrad": _max_pool_gradient}
