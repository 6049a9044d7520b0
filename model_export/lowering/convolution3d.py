"""Three-dimensional convolution and its gradients, as sums over depth of two-dimensional ones.

    Y_t = Σ_d X_{ts+d} * W_d      dW_d = Σ_t the filter gradient of X_{ts+d} and G_t
    dX_p = Σ_{t,d : ts+d = p} the input gradient of G_t and W_d

with d the taps of the filter's depth and s its stride. The images of all places t go through one product.
"""

import functools
import operator
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from model_export.errors import LoweringError
from model_export.lowering.axes import cut_axis, pad_axis, spread_axis
from model_export.lowering.convolution import convolve, filter_gradient, input_gradient, join_groups, split_groups
from model_export.lowering.folding import sizes_of
from model_export.lowering.scope import Scope
from model_export.lowering.windows import Axis, all_axes_of

Axes3d = tuple[Axis, Axis, Axis]  # depth, rows and columns


def _axes(op: Any, volume: Sequence[int], kernel: Sequence[int]) -> Axes3d:
    if op.get_attr("data_format") != b"NDHWC":
        raise LoweringError("has its channels first; only channels_last has a lowering")
    depth, rows, columns = all_axes_of(op, volume, kernel, op.get_attr("dilations"))
    return depth, rows, columns


def _images(x: Any, depth: Axis, scope: Scope) -> list[Any]:
    """For every tap of the depth, the images [batch*places,h,w,c] that it looks at."""
    images: list[Any] = scope.once(("images", x.ref(), depth), lambda: _cut_images(x, depth))
    return images


def _cut_images(x: Any, depth: Axis) -> list[Any]:
    padded = pad_axis(x, 1, depth.before, depth.after)
    last = (depth.places - 1) * depth.stride + 1
    starts = [tap * depth.dilation for tap in range(depth.taps)]
    seen = [cut_axis(padded, 1, range(start, start + last, depth.stride)) for start in starts]
    return [tf.reshape(one, [-1, *x.shape[2:]]) for one in seen]


def _conv3d(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    x, kernel = inputs
    axes = _axes(op, x.shape, kernel.shape)
    volumes, kernels = (split_groups(whole, x.shape[4] // kernel.shape[3], scope) for whole in (x, kernel))
    return join_groups([_convolve(one, piece, axes, scope) for one, piece in zip(volumes, kernels, strict=True)])


def _convolve(x: Any, kernel: Any, axes: Axes3d, scope: Scope) -> Any:
    depth, rows, columns = axes
    pairs = zip(_images(x, depth, scope), tf.unstack(kernel), strict=True)
    y = functools.reduce(operator.add, [convolve(images, piece, (rows, columns), scope) for images, piece in pairs])
    return tf.reshape(y, [x.shape[0], depth.places, *y.shape[1:]])


def _filter_gradient(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    x, sizes, gradient = inputs
    kernel = sizes_of(sizes)
    axes = _axes(op, x.shape, kernel)
    volumes, gradients = (split_groups(whole, x.shape[4] // kernel[3], scope) for whole in (x, gradient))
    return join_groups([_differentiate(one, g, axes, scope) for one, g in zip(volumes, gradients, strict=True)])


def _differentiate(x: Any, gradient: Any, axes: Axes3d, scope: Scope) -> Any:
    depth, rows, columns = axes
    g = tf.reshape(gradient, [-1, *gradient.shape[2:]])
    return tf.stack([filter_gradient(images, g, (rows, columns), scope) for images in _images(x, depth, scope)])


def _input_gradient(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    sizes, kernel, gradient = inputs
    volume = sizes_of(sizes)
    axes = _axes(op, volume, kernel.shape)
    kernels, gradients = (split_groups(whole, volume[4] // kernel.shape[3], scope) for whole in (kernel, gradient))
    return join_groups([_spread_back(g, piece, axes, scope) for piece, g in zip(kernels, gradients, strict=True)])


def _spread_back(gradient: Any, kernel: Any, axes: Axes3d, scope: Scope) -> Any:
    depth, rows, columns = axes
    g = tf.reshape(gradient, [-1, *gradient.shape[2:]])

    def placed(tap: int, piece: Any) -> Any:
        dx = input_gradient(g, piece, (rows, columns), scope)
        wide = spread_axis(tf.reshape(dx, [-1, depth.places, *dx.shape[1:]]), 1, depth.stride)
        start = tap * depth.dilation - depth.before
        return pad_axis(wide, 1, start, depth.size - start - wide.shape[1])

    pieces = [placed(tap, piece) for tap, piece in enumerate(tf.unstack(kernel))]
    return functools.reduce(operator.add, pieces)


LOWERINGS = {
    "Conv3D": _conv3d,
    "Conv3DBackpropFilterV2": _filter_gradient,
    "Conv3DBackpropInputV2": _input_gradient,
}
