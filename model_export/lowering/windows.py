"""The geometry of convolutions and pools, one axis at a time, and the static slices that follow from it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from model_export.lowering.axes import spread_axis

Image = tuple[int, int, int, int]  # [batch, height, width, channels]


@dataclass(frozen=True)
class Axis:
    """A window that slides along one axis of `size` positions, padded with `before` and `after`.

    `taps` positions of the window, `dilation` apart, look at the input; the window moves by `stride`.
    """

    size: int
    taps: int
    stride: int = 1
    dilation: int = 1
    before: int = 0
    after: int = 0

    @property
    def extent(self) -> int:
        """How many positions the window spans."""
        return (self.taps - 1) * self.dilation + 1

    @property
    def padded(self) -> int:
        """The positions of the padded axis."""
        return self.size + self.before + self.after

    @property
    def places(self) -> int:
        """How many places the window has: the size of the output."""
        return (self.padded - self.extent) // self.stride + 1

    @property
    def tiles(self) -> bool:
        """Whether the windows neither overlap nor leave gaps nor touch padding."""
        return self.taps == self.stride and self.dilation == 1 and not (self.before or self.after)


Axes = tuple[Axis, Axis]  # rows and columns


def axes_of(op: Any, image: Sequence[int], kernel: Sequence[int], dilations: Sequence[int]) -> Axes:
    """The two axes of a convolution or pool over an NHWC image, from the op's attributes."""
    rows, columns = all_axes_of(op, image, kernel, dilations)
    return rows, columns


def all_axes_of(op: Any, image: Sequence[int], kernel: Sequence[int], dilations: Sequence[int]) -> list[Axis]:
    """An axis for every size between batch and channels.

    TensorFlow's SAME padding puts the odd position behind ("Convolution" in the documentation of `tf.nn`).
    """
    padding = op.get_attr("padding").decode()
    explicit = op.get_attr("explicit_paddings") if padding == "EXPLICIT" else []
    strides = op.get_attr("strides")

    def axis(index: int) -> Axis:
        size, taps, stride, dilation = image[index], kernel[index - 1], strides[index], dilations[index]
        bare = Axis(size, taps, stride, dilation)
        if padding == "SAME":
            total = max((math.ceil(size / stride) - 1) * stride + bare.extent - size, 0)
            return Axis(size, taps, stride, dilation, total // 2, total - total // 2)
        if padding == "EXPLICIT":
            return Axis(size, taps, stride, dilation, explicit[2 * index], explicit[2 * index + 1])
        return bare

    return [axis(index) for index in range(1, len(image) - 1)]


def pad_image(x: Any, rows: tuple[int, int], columns: tuple[int, int], value: float = 0.0) -> Any:
    """Pad, or with negative amounts crop, the two axes of an image."""
    edges = (rows, columns)
    if any(amount < 0 for edge in edges for amount in edge):
        begin = [0, *(max(-edge[0], 0) for edge in edges), 0]
        cropped = [axis + min(edge[0], 0) + min(edge[1], 0) for axis, edge in zip(x.shape[1:3], edges, strict=True)]
        x = cut(x, begin, [x.shape[0], *cropped, x.shape[3]])
    amounts = [[max(edge[0], 0), max(edge[1], 0)] for edge in edges]
    if amounts == [[0, 0], [0, 0]]:
        return x
    return tf.pad(x, [[0, 0], *amounts, [0, 0]], constant_values=value)


def cut(x: Any, begin: Sequence[int], size: Sequence[int], step: Sequence[int] | None = None) -> Any:
    """A static slice: `size` entries from `begin`, `step` apart."""
    if step is None or all(distance == 1 for distance in step):
        if not any(begin) and list(size) == x.shape.as_list():
            return x
        return tf.slice(x, begin, size)
    end = [first + (count - 1) * distance + 1 for first, count, distance in zip(begin, size, step, strict=True)]
    return tf.strided_slice(x, begin, end, step)


def spread(x: Any, row_stride: int, column_stride: int) -> Any:
    """Put zeros behind every row and column, so that [b,h,w,c] becomes [b,h*row_stride,w*column_stride,c]."""
    return spread_axis(spread_axis(x, 1, row_stride), 2, column_stride)
