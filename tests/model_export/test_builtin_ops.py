"""A file that a device could not run, or would run wrongly, is refused with every finding."""

import tempfile
from collections.abc import Callable
from typing import Any

import flatbuffers
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from model_export import builtin_ops
from model_export.convert import convert
from model_export.errors import ProgramFileError
from model_export.progress import silent
from model_export.signature import Signature
from wire.tensors import TensorSpec

pytestmark = pytest.mark.tensorflow

VECTOR, SCALAR = TensorSpec("float32", (4,)), TensorSpec("float32", ())


def _convert(body: Callable[[Any], Any], spec: TensorSpec = VECTOR) -> bytes:
    return convert([Signature("run", {"x": spec}, lambda x: {"y": body(x)})], (), (), silent)


def _convert_as_it_is(body: Callable[[Any], Any], shape: tuple[int, ...]) -> bytes:
    """The file that TensorFlow's converter makes without our lowerings, which would see to it."""
    function = tf.function(lambda x: {"y": body(x)}, input_signature=[tf.TensorSpec(shape, name="x")], autograph=False)
    with tempfile.TemporaryDirectory() as directory:
        module = tf.Module()
        tf.saved_model.save(module, directory, signatures={"run": function.get_concrete_function()})
        return bytes(tf.lite.TFLiteConverter.from_saved_model(directory, signature_keys=["run"]).convert())


def _changed(tflite: bytes, change: Callable[[Any], None]) -> bytes:
    """The file after a change of its records."""
    model = schema.ModelT.InitFromPackedBuf(tflite, 0)
    change(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_an_exported_file_holds_the_ops_of_the_function() -> None:
    counts = builtin_ops.count_ops(_convert(lambda x: tf.exp(x) + tf.exp(-x)))
    assert counts == {"EXP": 2, "NEG": 1, "ADD": 1}


@pytest.mark.parametrize(("code", "name"), [(b"FlexErfinv", "FlexErfinv"), (b"MyOp", "MyOp")])
def test_a_flex_or_custom_op_is_refused_by_name(code: bytes, name: str) -> None:
    def make_custom(model: Any) -> None:
        operator = model.operatorCodes[0]
        operator.builtinCode = operator.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
        operator.customCode = code

    changed = _changed(_convert(tf.exp), make_custom)
    with pytest.raises(ProgramFileError, match=f"{name} is not a builtin op"):
        builtin_ops.check(changed)
    assert builtin_ops.count_ops(changed) == {f"CUSTOM:{name}": 1}


def test_a_reversal_of_several_axes_is_refused() -> None:
    builtin_ops.check(_convert_as_it_is(lambda x: tf.reverse(x, [1]), (2, 3)))
    with pytest.raises(ProgramFileError, match="REVERSE_V2"):
        builtin_ops.check(_convert_as_it_is(lambda x: tf.reverse(x, [0, 1]), (2, 3)))


def test_a_sum_or_a_broadcast_of_high_rank_is_refused() -> None:
    with pytest.raises(ProgramFileError, match="SUM over a tensor of rank 7"):
        builtin_ops.check(_convert_as_it_is(lambda x: tf.reduce_sum(x, [1, 3, 5]), (2,) * 7))
    with pytest.raises(ProgramFileError, match="MUL broadcasts tensors of rank 5"):
        builtin_ops.check(_convert_as_it_is(lambda x: x * x[:1, :, :1], (2,) * 5))


def test_scalar_inputs_and_outputs_are_refused_together() -> None:
    with pytest.raises(ProgramFileError) as caught:
        _convert(lambda x: x + 1.0, SCALAR)
    assert len(caught.value.problems) == 2
    assert all("has rank 0" in problem for problem in caught.value.problems)


def test_strings_unknown_sizes_and_missing_inputs_are_refused() -> None:
    def spoil(model: Any) -> None:
        (signature,) = model.signatureDefs
        tensors = model.subgraphs[0].tensors
        tensors[signature.outputs[0].tensorIndex].type = schema.TensorType.STRING
        tensors[signature.outputs[0].tensorIndex].shapeSignature = [-1]
        signature.inputs = []

    with pytest.raises(ProgramFileError) as caught:
        builtin_ops.check(_changed(_convert(tf.exp), spoil))
    assert [word in "; ".join(caught.value.problems) for word in ("no inputs", "unknown size", "strings")] == [True] * 3


@pytest.mark.parametrize("data", [b"", b"TFL3", b"\x00" * 64, b"not a flatbuffer at all, but long enough"])
def test_bytes_that_are_no_tflite_file_are_refused(data: bytes) -> None:
    with pytest.raises(ProgramFileError):
        builtin_ops.check(data)
