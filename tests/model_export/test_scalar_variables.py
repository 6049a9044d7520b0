"""What reads variables of rank 0 gives the right numbers in every call, wherever its memory lies."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import interpreter as litert

from model_export import Function, builtin_ops, export_functions, flatbuffer, scalar_variables
from model_export.convert import _convert
from plans.program import Program
from wire.tensors import TensorSpec

pytestmark = pytest.mark.tensorflow

X = np.arange(12, dtype=np.float32).reshape(3, 4)
CALLS = 3


class _Counting:
    """A step with a float32 and an int32 of rank 0 in its state, and work for XNNPACK before and after reading them."""

    def __init__(self) -> None:
        self.rate, self.count = tf.Variable(0.5), tf.Variable(3)

    def __call__(self, x: Any) -> dict[str, Any]:
        half = tf.sin(tf.reshape(x, [4, 3]) * 0.5)
        y = half * self.rate.read_value() + tf.cast(self.count.read_value(), tf.float32)
        self.rate.assign(self.rate.read_value() * 2.0)
        self.count.assign_add(1)
        return {"y": y, "rate": tf.reshape(self.rate.read_value(), [1])}

    def converted(self) -> bytes:
        """The file as TensorFlow's converter writes it."""
        traced = tf.function(self, autograph=False).get_concrete_function(tf.TensorSpec(X.shape, name="x"))
        return _convert({"run": traced}, [self.rate, self.count])


def _moves(tflite: bytes) -> bool:
    """Whether the runtime takes other memory for the first input in the first call."""
    interpreter = litert.Interpreter(model_content=tflite)
    interpreter.allocate_tensors()
    index = interpreter.get_input_details()[0]["index"]
    interpreter.tensor(index)().fill(0)
    before = interpreter.tensor(index)().ctypes.data
    interpreter.invoke()
    return bool(before != interpreter.tensor(index)().ctypes.data)


@pytest.mark.parametrize("delegate", [None, False], ids=["XNNPACK", "builtin"])
def test_variables_of_rank_0_are_read_and_assigned_as_in_tensorflow(delegate: bool | None) -> None:
    counting = _Counting()
    program = Program(flatbuffer.changed(counting.converted(), scalar_variables.give_rank), delegate=delegate)
    for call in range(CALLS):
        found, expected = program.call("run", x=X + call), counting(tf.constant(X + call))
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-6)


def test_memory_that_moved_in_the_first_call_stays() -> None:
    tflite = _Counting().converted()
    # Should a runtime plan at once one day, this says that the change has had its time.
    assert _moves(tflite)
    assert "READ_VARIABLE of rank 0" in builtin_ops.find_problems(tflite)[0]
    changed = flatbuffer.changed(tflite, scalar_variables.give_rank)
    assert not _moves(changed)
    assert not builtin_ops.find_problems(changed)
    assert flatbuffer.changed(changed, scalar_variables.give_rank) is changed


def test_memory_stays_where_the_gradient_of_gathered_rows_is_summed() -> None:
    def step(state: Any, indices: Any) -> dict[str, Any]:
        rows = state["rows"].read_value()
        with tf.GradientTape() as tape:
            tape.watch(rows)
            y = tf.reduce_sum(tf.gather(rows, indices) ** 2)
        gradient = tf.convert_to_tensor(tape.gradient(y, rows))
        return {"y": y, "sorted": tf.sort(gradient), "exp": tf.exp(gradient)}

    function = Function(step, {"indices": TensorSpec("int32", (5,))})
    assert not _moves(export_functions({"step": function}, state={"rows": np.ones((70, 30), np.float32)}).tflite)
