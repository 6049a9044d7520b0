"""Depthwise convolution, in which every channel c has M filters of its own, and its gradients.

    y[c·M + m] = Σ_t x_t[c] w_t[c, m]      dw_t[c, m] = Σ x_t[c] g[c·M + m]
    dx[c] = Σ_m the convolution of the spread g[c·M + m] with the turned w[c, m]

with x_t the entries that tap t of the filter looks at. The forward op is builtin, and so are the M convolutions of dx.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from model_export.errors import LoweringError
from model_export.lowering.folding import sizes_of
from model_export.lowering.scope import Scope
from model_export.lowering.windows import Axes, Axis, axes_of, cut, pad_image, spread, take_all_taps


def _axes(op: Any, image: Sequence[int], kernel: Sequence[int]) -> Axes:
    if op.get_attr("data_format") != b"NHWC":
        raise LoweringError("has its channels first; only channels_last has a lowering")
    return axes_of(op, image, kernel, op.get_attr("dilations"))


def _depthwise(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any] | None:
    x, kernel = inputs
    rows, columns = _axes(op, x.shape, kernel.shape)
    if op.get_attr("padding") != b"EXPLICIT":
        return None
    padded = pad_image(x, (rows.before, rows.after), (columns.before, columns.after))
    return [_convolve(padded, kernel, [rows.stride, columns.stride], [rows.dilation, columns.dilation])]


def _convolve(x: Any, kernel: Any, strides: Sequence[int], dilations: Sequence[int]) -> Any:
    return tf.raw_ops.DepthwiseConv2dNative(
        input=x, filter=kernel, strides=[1, *strides, 1], padding="VALID", dilations=[1, *dilations, 1]
    )


def _filter_gradient(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    x, sizes, gradient = inputs
    kernel = sizes_of(sizes)
    rows, columns = _axes(op, x.shape, kernel)
    batch, channels, multiplier = x.shape[0], kernel[2], kernel[3]
    places = batch * rows.places * columns.places
    g = tf.reshape(gradient, [places, channels, multiplier])
    seen = (tf.reshape(tap, [places, channels, 1]) for tap in take_all_taps(x, rows, columns))
    sums = [tf.reduce_sum(tap * g, 0) for tap in seen]
    return [tf.reshape(tf.stack(sums), kernel)]


def _input_gradient(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    sizes, kernel, gradient = inputs
    image = sizes_of(sizes)
    axes = _axes(op, image, kernel.shape)
    taps_y, taps_x, channels, multiplier = kernel.shape
    g, (rows, columns) = _spread_for(gradient, axes)
    turned = tf.reshape(tf.reverse(tf.reshape(kernel, [taps_y * taps_x, channels, multiplier]), [0]), kernel.shape)
    by_multiple = tf.reshape(g, [-1, g.shape[2], channels, multiplier])

    def of_multiple(m: int) -> Any:
        size = [*by_multiple.shape[:3], 1]
        gradients = tf.reshape(cut(by_multiple, [0, 0, 0, m], size), [*g.shape[:3], channels])
        kernels = cut(turned, [0, 0, 0, m], [taps_y, taps_x, channels, 1])
        return _convolve(gradients, kernels, [1, 1], [rows.dilation, columns.dilation])

    dx = of_multiple(0)
    for m in range(1, multiplier):
        dx += of_multiple(m)
    return [dx]


def _spread_for(gradient: Any, axes: Axes) -> tuple[Any, Axes]:
    """The spread and padded gradient, and the axes along which a turned filter slides over it.

    The filter has a place for every input.
    """
    g = spread(gradient, axes[0].stride, axes[1].stride)
    rows, columns = (_backward(axis, size) for axis, size in zip(axes, g.shape[1:3], strict=True))
    g = pad_image(g, (rows.before, rows.after), (columns.before, columns.after))
    return g, (rows.unpadded, columns.unpadded)


def _backward(axis: Axis, spread_size: int) -> Axis:
    before = axis.extent - 1 - axis.before
    after = axis.size + axis.extent - 1 - before - spread_size
    return Axis(spread_size, axis.taps, dilation=axis.dilation, before=before, after=after)


LOWERINGS = {
    "DepthwiseConv2dNative": _depthwise,
    "DepthwiseConv2dNativeBackpropFilter": _filter_gradient,
    "DepthwiseConv2dNativeBackpropInput": _input_gradient,
}
