"""Ops that only ask for shapes: every shape is known when a model is exported, so they are constants."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from model_export.lowering.scope import Scope


def _shape(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    return [
        tf.constant(source.shape.as_list(), result.dtype) for source, result in zip(op.inputs, op.outputs, strict=True)
    ]


def _zeros_like(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    return [tf.zeros(op.outputs[0].shape, op.outputs[0].dtype)]


LOWERINGS = {"Shape": _shape, "ShapeN": _shape, "ZerosLike": _zeros_like}
