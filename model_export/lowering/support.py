"""Says of an op without a lowering whether TFLite has a builtin form for it, and whose op it is.

Most ops of a model are on a list of those that TFLite has. About any other the converter itself is asked, with a
program of that one op. An op that draws random numbers or has other side effects is refused without asking: the
converter would fold a stateless generator with a constant key into one fixed noise tensor, silently.
"""

import re
import sysconfig
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from model_export.errors import UnsupportedOpError
from model_export.lowering.folding import RANDOM, static_value
from model_export.lowering.graphs import copy_op
from model_export.lowering.scope import Scope

# Converted by TensorFlow 2.21 and run on tflite-runtime 2.14 and LiteRT 2.3, for the dtypes below.
_NAMES = (
    "Abs Add AddN AddV2 All Any ArgMax ArgMin AvgPool BatchMatMulV2 BatchToSpaceND BiasAdd BiasAddGrad "
    "BroadcastGradientArgs BroadcastTo Cast Ceil ConcatV2 Const Cos DepthToSpace DepthwiseConv2dNative Elu Equal Exp "
    "ExpandDims Fill Floor FloorDiv FloorMod GatherV2 Greater GreaterEqual LeakyRelu Less LessEqual Log LogSoftmax "
    "LogicalAnd LogicalNot LogicalOr Max MaxPool Maximum Mean Min Minimum MirrorPad Mul Neg NotEqual OneHot Pack Pad "
    "PadV2 Pow Prod Range RealDiv Relu Relu6 Reshape Round Rsqrt Select SelectV2 Selu Sigmoid SigmoidGrad "
    "Sign Sin Slice Softmax Softplus SpaceToDepth Split SplitV Sqrt Square SquaredDifference Squeeze StridedSlice Sub "
    "Sum Tanh TanhGrad Tile TopKV2 Transpose Unpack UnsortedSegmentSum"
)
BUILTIN = frozenset(_NAMES.split())
DTYPES = frozenset({"bool", "float32", "int32", "int64", "uint8"})
# Where a line of code is not the model's author's: Python's own and installed modules.
_INSTALLED = tuple(sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib", "scripts"))
_LIBRARIES = (*_INSTALLED, "<")
_PACKAGE = str(Path(__file__).parents[1])


def refusal(op: Any, inputs: Sequence[Any], scope: Scope) -> str | None:
    """Why a device cannot run an op on these inputs as it is, or None if it can."""
    if RANDOM.search(op.type):
        return "draws random numbers, which this version does not export"
    if op.op_def.is_stateful and op.type not in BUILTIN:
        return "has side effects, which TFLite cannot express"
    if op.type in BUILTIN and all(value.dtype.name in DTYPES for value in [*op.inputs, *op.outputs]):
        return None
    question = (op.type, op.node_def.SerializeToString(deterministic=True), *(str(value.shape) for value in inputs))
    converts = scope.once(("converts", question), lambda: _converts(op, inputs))
    strange = sorted({value.dtype.name for value in [*op.inputs, *op.outputs]} - DTYPES)
    return None if converts else f"has no form in TFLite's builtin ops{' for ' if strange else ''}{', '.join(strange)}"


def unsupported(chain: Sequence[Any], reason: str, layers: Collection[str]) -> UnsupportedOpError:
    """The error for the op at the end of a chain of calls: its name, its layer and where it was written."""
    name = "/".join(op.name for op in chain)
    return UnsupportedOpError(chain[-1].type, name, _layer_of(name, layers), _source_of(chain), reason)


def _converts(op: Any, inputs: Sequence[Any]) -> bool:
    """Whether the converter takes a program of this op alone, its constant inputs kept constant."""
    known = [static_value(value) for value in inputs]
    open_inputs = [value for value, constant in zip(inputs, known, strict=True) if constant is None]

    def body(*arguments: Any) -> list[Any]:
        remaining = iter(arguments)
        taken = [
            next(remaining) if constant is None else tf.constant(constant, value.dtype)
            for value, constant in zip(inputs, known, strict=True)
        ]
        return copy_op(op, taken)

    with tf.init_scope():
        try:
            specs = [tf.TensorSpec(value.shape, value.dtype) for value in open_inputs]
            program = tf.function(body, input_signature=specs, autograph=False)
            converter = tf.lite.TFLiteConverter.from_concrete_functions([program.get_concrete_function()], program)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
            converter.convert()
        except Exception:  # whatever the converter raises, its answer is no
            return False
    return True


def _layer_of(name: str, layers: Collection[str]) -> str:
    """The innermost part of an op's name that is a layer; gradients carry the name of what they are a gradient of.

    Keras enters a layer's name scope twice, to build it and to call it, so that TensorFlow appends a number to the
    second: the scope `dense_1` is a call of the layer `dense`, although there may be a layer `dense_1` as well.
    """
    for part in reversed(name.split("/")):
        for candidate in (re.sub(r"_\d+$", "", part), part):
            if candidate in layers:
                return candidate
    return ""


def _source_of(chain: Sequence[Any]) -> str:
    """The last line outside of libraries that led to the op; empty if the model called no such line."""
    for op in reversed(chain):
        for frame in reversed(op.traceback or ()):
            if frame.filename.startswith(_PACKAGE):
                break  # from here on outwards it is the export that was called
            if not frame.filename.startswith(_LIBRARIES):
                return f"{Path(frame.filename).name}:{frame.lineno}"
    return ""
