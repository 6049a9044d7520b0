"""The geometry of convolutions and pools, one axis at a time, and the static slices that follow from it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

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


def axes_of(op: Any, image: Sequence[int], kernel: Sequence[int], dilations: Sequence[int]) -> tuple[Axis, Axis]:
    """The two axes of a convolution or pool over an NHWC image, from the op's attributes.

    TensorFlow's SAME padding puts the odd position behind ("Convolution" in the documentation of `tf.nn`).
    """
    padding = op.get_attr("padding").decode()
    explicit = list(op.get_attr("explicit_paddings")) if padding == "EXPLICIT" else []
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

    return axis(1), axis(2)


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
    """Put zeros behind every row and column, so that [b,h,w,c] becomes [b,h*row_stride,w*column_stride,c].

    By reshape and pad alone: TFLite's own dilation is newer than the runtimes we support.
    """
    batch, height, width, channels = x.shape
    if row_stride > 1:
        flat = tf.pad(tf.reshape(x, [batch * height, 1, width * channels]), [[0, 0], [0, row_stride - 1], [0, 0]])
        x = tf.reshape(flat, [batch, height * row_stride, width, channels])
    height *= row_stride
    if column_stride > 1:
        flat = tf.pad(tf.reshape(x, [batch * height * width, 1, channels]), [[0, 0], [0, column_stride - 1], [0, 0]])
        x = tf.reshape(flat, [batch, height, width * column_stride, channels])
    return x
