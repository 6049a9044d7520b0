"""No op of an exported file writes over numbers that another is still to read."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from model_export import builtin_ops, flatbuffer, shared_memory
from model_export.convert import _convert
from plans.program import Program

pytestmark = pytest.mark.tensorflow

X = np.arange(1, 13, dtype=np.float32).reshape(3, 4)


def _lossy(x: Any, w: Any) -> dict[str, Any]:
    """The product takes the place of a view of `b`, which is read again."""
    b = tf.sin(x @ w) * 2.0
    return {"c": tf.sin(tf.reshape(b, [4, 3]) * tf.constant([1.0, 2.0, 3.0])), "d": tf.cos(b + 1.0)}


def _converted(body: Any) -> bytes:
    spec = [tf.TensorSpec([3, 4], name="x"), tf.TensorSpec([4, 4], name="w")]
    return _convert({"run": tf.function(body, spec, autograph=False).get_concrete_function()}, ())


@pytest.fixture(scope="module")
def program() -> tuple[bytes, dict[str, Any]]:
    w = np.eye(4, dtype=np.float32)
    expected = _lossy(tf.constant(X), tf.constant(w))
    return _converted(_lossy), {name: value.numpy() for name, value in expected.items()}


def _difference(tflite: bytes, expected: dict[str, Any]) -> float:
    found = Program(tflite, delegate=False).call("run", x=X, w=np.eye(4, dtype=np.float32))
    return max(float(np.abs(found[name] - value).max()) for name, value in expected.items())


def test_the_runtime_loses_what_is_found_lost(program: tuple[bytes, dict[str, Any]]) -> None:
    tflite, expected = program
    assert [loss.op for loss, _ in shared_memory.find_losses(flatbuffer.read(tflite))] == ["MUL"]
    assert "MUL writes over" in builtin_ops.find_problems(tflite)[0]
    # Should a runtime plan better one day, this says that the protection has had its time.
    assert _difference(tflite, expected) > 0.1


def test_a_protected_program_loses_nothing(program: tuple[bytes, dict[str, Any]]) -> None:
    tflite, expected = program
    protected = flatbuffer.changed(tflite, shared_memory.protect)
    assert _difference(protected, expected) < 1e-6
    assert not builtin_ops.find_problems(protected)
    assert not shared_memory.protect(flatbuffer.read(protected))


def test_constants_stay_where_runtimes_may_read_them_as_numbers(program: tuple[bytes, dict[str, Any]]) -> None:
    tflite, _ = program
    protected = flatbuffer.changed(tflite, shared_memory.protect)
    model = schema.Model.GetRootAs(protected, 0)
    held = [model.Buffers(index).DataAsNumpy() for index in range(model.BuffersLength())]
    start = np.frombuffer(protected, np.uint8).ctypes.data
    assert {(one.ctypes.data - start) % 16 for one in held if isinstance(one, np.ndarray)} == {0}


def test_a_program_that_loses_nothing_stays_as_it_is() -> None:
    tflite = _converted(lambda x, w: {"y": tf.reshape(x @ w, [2, 6]) * 2.0})
    assert flatbuffer.changed(tflite, shared_memory.protect) is tflite
