"""Ops that only ask for shapes: every shape is known when a model is exported, so they are constants."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from model_export.lowering.folding import sizes_of
from model_export.lowering.scope import Scope


def _shape(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    return [
        tf.constant(source.shape.as_list(), result.dtype) for source, result in zip(inputs, op.outputs, strict=True)
    ]


def _size(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    return [tf.constant(inputs[0].shape.num_elements(), op.outputs[0].dtype)]


def _rank(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    return [tf.constant(inputs[0].shape.rank, op.outputs[0].dtype)]


def _zeros_like(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    return [tf.zeros(inputs[0].shape, inputs[0].dtype)]


def _ones_like(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    return [tf.ones(inputs[0].shape, inputs[0].dtype)]


def _empty(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    return [tf.zeros(sizes_of(inputs[0]), op.outputs[0].dtype)]  # it may hold anything


LOWERINGS = {
    "Empty": _empty,
    "OnesLike": _ones_like,
    "Rank": _rank,
    "Shape": _shape,
    "ShapeN": _shape,
    "Size": _size,
    "ZerosLike": _zeros_like,
}
