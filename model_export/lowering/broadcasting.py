"""Elementwise ops on tensors of more than four axes that broadcast: adjacent axes that broadcast alike count as one.

tflite-runtime 2.14 aborts the process on a broadcasting product of rank five.
"""

import functools
import itertools
import math
import operator
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from model_export.lowering.axes import MOST_AXES, tile_axis
from model_export.lowering.folding import known_sizes
from model_export.lowering.graphs import copy_op
from model_export.lowering.scope import Scope


def elementwise(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any] | None:
    """The lowering of any op that works element by element."""
    shapes = [value.shape.as_list() for value in inputs]
    rank = max(map(len, shapes))
    if rank <= MOST_AXES or all(shape == shapes[0] for shape in shapes):
        return None
    shapes = [[1] * (rank - len(shape)) + shape for shape in shapes]
    sizes = [max(along) if 0 not in along else 0 for along in zip(*shapes, strict=True)]
    groups = _groups(shapes, sizes)
    collapsed = [_collapse(value, shape, sizes, groups) for value, shape in zip(inputs, shapes, strict=True)]
    return [tf.reshape(made, sizes) for made in copy_op(op, collapsed)]


def _groups(shapes: Sequence[Sequence[int]], sizes: Sequence[int]) -> list[list[int]]:
    """The axes, grouped by which of the tensors repeat along them; an axis of size one joins any group."""
    wide = [axis for axis, size in enumerate(sizes) if size != 1]
    repeats = {axis: tuple(shape[axis] == 1 for shape in shapes) for axis in wide}
    return [list(axes) for _, axes in itertools.groupby(wide, repeats.__getitem__)]


def _collapse(value: Any, shape: Sequence[int], sizes: Sequence[int], groups: Sequence[Sequence[int]]) -> Any:
    value = tf.reshape(value, [math.prod(shape[axis] for axis in axes) for axes in groups])
    if len(groups) <= MOST_AXES:
        return value
    for place, axes in enumerate(groups):  # too many: repeat it in memory, so that nothing broadcasts
        value = tile_axis(value, place, math.prod(sizes[axis] for axis in axes) // value.shape[place])
    return value


def _broadcast_to(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any] | None:
    x, shape = inputs
    sizes = known_sizes(shape)
    if sizes is None or len(sizes) <= MOST_AXES:
        return None
    x = tf.reshape(x, [1] * (len(sizes) - x.shape.rank) + x.shape.as_list())
    for axis in reversed(range(len(sizes))):
        x = tile_axis(x, axis, sizes[axis] // x.shape[axis])
    return [x]


def _tile(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any] | None:
    x, multiples = inputs
    times = known_sizes(multiples)
    if times is None or x.shape.rank <= MOST_AXES:
        return None
    for axis in reversed(range(x.shape.rank)):
        x = tile_axis(x, axis, times[axis])
    return [x]


def _add_bias(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any] | None:
    x, bias = inputs
    if x.shape.rank <= MOST_AXES or op.get_attr("data_format") != b"NHWC":  # NHWC stands for channels last
        return None
    return [tf.reshape(tf.reshape(x, [-1, bias.shape[0]]) + bias, x.shape)]


def _bias_gradient(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any] | None:
    (g,) = inputs
    if g.shape.rank <= MOST_AXES or op.get_attr("data_format") != b"NHWC":
        return None
    return [tf.reduce_sum(tf.reshape(g, [-1, g.shape[-1]]), 0)]


def _add_many(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    """One by one, for XNNPACK has ADD and not ADD_N."""
    return [functools.reduce(operator.add, inputs)]


_ELEMENTWISE = (
    "Add AddV2 Div Equal Greater GreaterEqual Less LessEqual LogicalAnd LogicalOr Maximum Minimum NotEqual RealDiv "
    "SelectV2 SquaredDifference Sub"
)

LOWERINGS = {
    **dict.fromkeys(_ELEMENTWISE.split(), elementwise),
    "AddN": _add_many,
    "BiasAdd": _add_bias,
    "BiasAddGrad": _bias_gradient,
    "BroadcastTo": _broadcast_to,
    "Tile": _tile,
}
