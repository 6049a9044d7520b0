"""Three-dimensional pools and their gradients, tap by tap.

With x_t what tap t of the window looks at, and n the positions of a window inside the volume:

    maximum   y = max_t x_t          dx_t = g for the first tap that equals the maximum (see `pooling`), else 0
    average   y = Σ_t x_t / n        dx_t = g / n

The first tap is what TensorFlow chooses on x86, where it computes with oneDNN; without it, every such tap gets g.
"""

import functools
import itertools
import operator
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from model_export.errors import LoweringError
from model_export.lowering.axes import along, cut_axis, pad_axis, spread_axis
from model_export.lowering.folding import sizes_of
from model_export.lowering.pooling import LOWEST, inside, shares_of_maximum
from model_export.lowering.scope import Scope
from model_export.lowering.windows import Axis, all_axes_of

_UNDILATED = (1, 1, 1, 1, 1)


def _axes(op: Any, volume: Sequence[int]) -> list[Axis]:
    ksize = op.get_attr("ksize")
    if op.get_attr("data_format") != b"NDHWC" or ksize[0] != 1 or ksize[4] != 1:
        raise LoweringError("is not a channels_last pool over depth, height and width, the only one with a lowering")
    return all_axes_of(op, volume, ksize[1:4], _UNDILATED)


def _taps(axes: Sequence[Axis]) -> Iterator[tuple[int, ...]]:
    return itertools.product(*(range(axis.taps) for axis in axes))


def _seen(x: Any, axes: Sequence[Axis], fill: float) -> list[Any]:
    """What every tap looks at, [batch,depth,height,width,channels]; outside of the volume it is `fill`."""
    for place, axis in enumerate(axes, 1):
        x = _fill_axis(x, place, axis, fill)
    return [_cut_tap(x, axes, tap) for tap in _taps(axes)]


def _fill_axis(x: Any, place: int, axis: Axis, fill: float) -> Any:
    if not (axis.before or axis.after):
        return x
    amounts = [[0, 0], [axis.before, axis.after], [0, 0]]
    return along(x, place, lambda flat: tf.pad(flat, amounts, constant_values=fill))


def _cut_tap(x: Any, axes: Sequence[Axis], tap: Sequence[int]) -> Any:
    for place, (axis, start) in enumerate(zip(axes, tap, strict=True), 1):
        x = cut_axis(x, place, range(start, start + (axis.places - 1) * axis.stride + 1, axis.stride))
    return x


def _put_back(shares: Sequence[Any], axes: Sequence[Axis]) -> Any:
    """The sum over taps of their shares, each value where that tap looked."""
    return functools.reduce(operator.add, [_place(g, axes, tap) for g, tap in zip(shares, _taps(axes), strict=True)])


def _place(g: Any, axes: Sequence[Axis], tap: Sequence[int]) -> Any:
    for place, (axis, first) in enumerate(zip(axes, tap, strict=True), 1):
        g = spread_axis(g, place, axis.stride)
        start = first - axis.before
        g = pad_axis(g, place, start, axis.size - start - g.shape[place])
    return g


def _shares(axes: Sequence[Axis]) -> Any:
    """1/n for every place of the window, [depth,height,width,1]."""
    depth, rows, columns = (inside(axis) for axis in axes)
    counts = depth[:, np.newaxis, np.newaxis] * rows[:, np.newaxis] * columns
    return (1.0 / counts).astype(np.float32)[..., np.newaxis]


def _share(g: Any, axes: Sequence[Axis]) -> Any:
    """g/n: the same sizes on both sides, for nothing of rank five may broadcast."""
    return g * np.broadcast_to(_shares(axes), g.shape)


def _max_pool(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    (x,) = inputs
    return [functools.reduce(tf.maximum, _seen(x, _axes(op, x.shape), LOWEST))]


def _max_pool_gradient(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    x, y, gradient = inputs
    axes = _axes(op, x.shape)
    taps = [_flat(tap) for tap in _seen(x, axes, LOWEST)]
    shares = shares_of_maximum(taps, _flat(y), _flat(gradient))
    return [_put_back([tf.reshape(share, y.shape) for share in shares], axes)]


def _flat(x: Any) -> Any:
    """Images instead of volumes: nothing of rank five may broadcast, a scalar neither."""
    return tf.reshape(x, [-1, *x.shape[2:]])


def _average_pool(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    (x,) = inputs
    axes = _axes(op, x.shape)
    return [_share(functools.reduce(operator.add, _seen(x, axes, 0.0)), axes)]


def _average_pool_gradient(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    sizes, gradient = inputs
    axes = _axes(op, sizes_of(sizes))
    shared = _share(gradient, axes)
    return [_put_back([shared for _ in _taps(axes)], axes)]


LOWERINGS = {
    "AvgPool3D": _average_pool,
    "AvgPool3DGrad": _average_pool_gradient,
    "MaxPool3D": _max_pool,
    "MaxPool3DGrad": _max_pool_gradient,
}
