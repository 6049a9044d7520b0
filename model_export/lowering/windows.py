"""The geometry of convolutions and pools, one axis at a time, and the static slices that follow from it.

What a window that moves by more than one position looks at is taken in whole steps, by a reshape that puts the
positions of a step side by side: a slice that skips positions is twenty times slower on LiteRT.
"""

import functools
import itertools
import math
import operator
from collections.abc import Mapping, Sequence
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
    def unpadded(self) -> "Axis":
        """The same windows over an axis that is padded already."""
        return Axis(self.padded, self.taps, self.stride, self.dilation)

    @property
    def places(self) -> int:
        """How many places the window has: the size of the output."""
        return (self.padded - self.extent) // self.stride + 1

    @property
    def offsets(self) -> list[tuple[int, int]]:
        """Where each tap of the first window looks on the padded axis: (step, position within the step)."""
        return [divmod(tap * self.dilation, self.stride) for tap in range(self.taps)]

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


def cut(x: Any, begin: Sequence[int], size: Sequence[int]) -> Any:
    """A static slice: `size` entries from `begin`."""
    return x if not any(begin) and list(size) == x.shape.as_list() else tf.slice(x, begin, size)


def split_channels(x: Any, count: int) -> list[Any]:
    """As many equal parts of the last axis. XNNPACK has no SPLIT into more than four, and is not slower at slices."""
    *leading, wide = x.shape
    size = [*leading, wide // count]
    return [cut(x, [*[0] * len(leading), part * size[-1]], size) for part in range(count)]


def spread(x: Any, row_stride: int, column_stride: int) -> Any:
    """Put zeros behind every row and column, so that [b,h,w,c] becomes [b,h*row_stride,w*column_stride,c]."""
    return spread_axis(spread_axis(x, 1, row_stride), 2, column_stride)


def take_taps(x: Any, axis: Axis, dimension: int, value: float = 0.0) -> list[Any]:
    """For each tap, what it looks at from all places: the image with `axis.places` along the dimension, 1 or 2.

    Args:
        value: what the margins are padded with.
    """
    steps = -(-axis.padded // axis.stride)
    x = _pad_axis(x, dimension, axis.before, steps * axis.stride - axis.size - axis.before, value)
    wide = x.shape[dimension + 1]
    shape = x.shape.as_list()
    shape[dimension : dimension + 2] = [steps, axis.stride * wide]
    by_step = tf.reshape(x, shape) if axis.stride > 1 else x
    shape[dimension : dimension + 2] = [axis.places, wide]

    def taken(step: int, position: int) -> Any:
        begin = [0, 0, 0, 0]
        begin[dimension : dimension + 2] = [step, position * wide]
        return cut(by_step, begin, shape)

    return list(itertools.starmap(taken, axis.offsets))


def take_all_taps(x: Any, rows: Axis, columns: Axis, value: float = 0.0) -> list[Any]:
    """For each tap of a window over an image, in row-major order, what it looks at from all places."""
    x = pad_image(x, (rows.before, rows.after), (columns.before, columns.after), value)
    lines = take_taps(x, rows.unpadded, 1, value)
    return [tap for line in lines for tap in take_taps(line, columns.unpadded, 2, value)]


def put_back_taps(pieces: Sequence[Any], axis: Axis, dimension: int) -> Any:
    """Add up, at the positions where each tap looked, a piece for each tap: the transpose of `take_taps`."""
    steps = -(-axis.size // axis.stride)
    by_position: dict[int, list[Any]] = {}
    for tap, piece in enumerate(pieces):
        step, position = divmod(tap * axis.dilation - axis.before, axis.stride)
        first, last = max(0, -step), min(axis.places, steps - step)
        if first < last:
            inside = _cut_axis(piece, dimension, first, last)
            placed = _pad_axis(inside, dimension, first + step, steps - last - step)
            by_position.setdefault(position, []).append(placed)
    if not by_position:  # the gaps of a dilated window may span the image
        shape = pieces[0].shape.as_list()
        return tf.zeros([*shape[:dimension], axis.size, *shape[dimension + 1 :]], pieces[0].dtype)
    x = _interleave(by_position, axis.stride, dimension)
    return _cut_axis(x, dimension, 0, axis.size)


def _interleave(by_position: Mapping[int, Sequence[Any]], stride: int, dimension: int) -> Any:
    """The sums of what belongs to each position of a step, in turn; zeros where nothing does."""
    found = sorted(by_position)
    sums = [functools.reduce(operator.add, by_position[position]) for position in found]
    shape = sums[0].shape.as_list()
    if stride == 1:
        return sums[0]
    wide = shape[dimension + 1]
    begins, ends = [0, *found[1:]], [*found[1:], stride]
    parts = [
        _pad_axis(part, dimension + 1, (position - begin) * wide, (end - position - 1) * wide)
        for part, position, begin, end in zip(sums, found, begins, ends, strict=True)
    ]
    shape[dimension] *= stride
    return tf.reshape(tf.concat(parts, dimension + 1) if len(parts) > 1 else parts[0], shape)


def _cut_axis(x: Any, dimension: int, first: int, last: int) -> Any:
    begin, size = [0] * x.shape.rank, x.shape.as_list()
    begin[dimension], size[dimension] = first, last - first
    return cut(x, begin, size)


def _pad_axis(x: Any, dimension: int, before: int, after: int, value: float = 0.0) -> Any:
    if not (before or after):
        return x
    amounts = [[0, 0]] * x.shape.rank
    amounts[dimension] = [before, after]
    return tf.pad(x, amounts, constant_values=value)
