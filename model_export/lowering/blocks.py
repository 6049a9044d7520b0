"""Space to batch and back, for other ranks than TFLite has: how TensorFlow writes a dilated convolution of volumes.

One axis at a time. With block size d, an axis of n·d entries becomes n entries, and the batch grows by d:

    [b·p, n, d, q]  →  [d, b·p, n, q]        p and q the sizes of all axes before and after
"""

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from model_export.lowering.axes import cut_axis, pad_axis
from model_export.lowering.folding import sizes_of
from model_export.lowering.scope import Scope

_BUILTIN_RANK = 4


def _space_to_batch(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any] | None:
    x = inputs[0]
    if x.shape.rank == _BUILTIN_RANK:
        return None
    blocks, margins = (sizes_of(value) for value in inputs[1:])
    for index in reversed(range(len(blocks))):
        axis, block = index + 1, blocks[index]
        x = pad_axis(x, axis, margins[2 * index], margins[2 * index + 1])
        batch, size, shape = x.shape[0], x.shape[axis] // block, x.shape
        flat = tf.reshape(x, [math.prod(shape[:axis]), size, block, math.prod(shape[axis + 1 :])])
        x = tf.reshape(tf.transpose(flat, [2, 0, 1, 3]), [batch * block, *shape[1:axis], size, *shape[axis + 1 :]])
    return [x]


def _batch_to_space(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any] | None:
    x = inputs[0]
    if x.shape.rank == _BUILTIN_RANK:
        return None
    blocks, margins = (sizes_of(value) for value in inputs[1:])
    for index, block in enumerate(blocks):
        axis, shape = index + 1, x.shape
        batch, size = shape[0] // block, shape[axis]
        flat = tf.reshape(x, [block, batch * math.prod(shape[1:axis]), size, math.prod(shape[axis + 1 :])])
        x = tf.reshape(tf.transpose(flat, [1, 2, 0, 3]), [batch, *shape[1:axis], size * block, *shape[axis + 1 :]])
        x = cut_axis(x, axis, range(margins[2 * index], size * block - margins[2 * index + 1]))
    return [x]


LOWERINGS = {"BatchToSpaceND": _batch_to_space, "SpaceToBatchND": _space_to_batch}
