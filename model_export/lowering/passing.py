"""Ops that have nothing to do on a device: they pass on what they get, or check and print and give nothing."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from model_export.lowering.scope import Scope


def _pass(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    return inputs[: len(op.outputs)]


def _shaped(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    """What has a shape by now passes on; what was padded as data say has the shape that was promised."""
    (x,) = inputs
    return [x if x.shape.is_fully_defined() else tf.reshape(x, op.outputs[0].shape)]


def _drop(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    return []


LOWERINGS = {
    "Assert": _drop,  # a device has nowhere to say it; the host checks what it feeds
    "CheckNumerics": _pass,
    "EnsureShape": _shaped,
    "Identity": _pass,
    "IdentityN": _pass,
    "NoOp": _drop,
    "PreventGradient": _pass,
    "Print": _pass,
    "PrintV2": _drop,
    "StopGradient": _pass,  # the gradients are in the graph already
}
