"""Tensors taken apart along an axis, each piece a slice: SPLIT and UNPACK lack some dtypes."""

import itertools
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from model_export.lowering.axes import cut_axis
from model_export.lowering.folding import known_sizes
from model_export.lowering.scope import Scope

_LACKING = frozenset({tf.bool, tf.int64})


def _split(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any] | None:
    axis, x = inputs
    return _pieces(x, axis, [output.shape for output in op.outputs])


def _split_by_sizes(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any] | None:
    x, _, axis = inputs
    return _pieces(x, axis, [output.shape for output in op.outputs])


def _pieces(x: Any, axis: Any, shapes: Sequence[Any]) -> list[Any] | None:
    known = known_sizes(axis)
    if x.dtype not in _LACKING or known is None:
        return None
    place = known[0] % x.shape.rank
    ends = [0, *itertools.accumulate(shape[place] for shape in shapes)]
    return [cut_axis(x, place, range(*ends)) for ends in itertools.pairwise(ends)]


def _unpack(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any] | None:
    (x,) = inputs
    if x.dtype not in _LACKING:
        return None
    axis = op.get_attr("axis") % x.shape.rank
    pieces = [cut_axis(x, axis, range(place, place + 1)) for place in range(x.shape[axis])]
    return [tf.reshape(piece, output.shape) for piece, output in zip(pieces, op.outputs, strict=True)]


LOWERINGS = {"Split": _split, "SplitV": _split_by_sizes, "Unpack": _unpack}
