"""An op whose operands are one variable ends the process under XNNPACK; exported, it runs."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from model_export import Function, export_functions
from plans.program import FLAG, Program, unbind_all

pytestmark = pytest.mark.tensorflow

VALUES = np.array([-1.5, 0.25, 3.0, 1e30, 2.0], np.float32)
OPS: dict[str, Callable[[Any], Any]] = {
    "x + x": lambda x: x + x,
    "x − x": lambda x: x - x,
    "x · x": lambda x: x * x,
    "x / x": lambda x: x / x,
    "max(x, x)": lambda x: tf.maximum(x, x),
    "min(x, x)": lambda x: tf.minimum(x, x),
    "(x − x)²": lambda x: tf.math.squared_difference(x, x),
}


@pytest.mark.parametrize("name", OPS)
def test_an_op_of_a_variable_with_itself_gives_what_tensorflow_gives(name: str) -> None:
    function = Function(lambda state: {"y": OPS[name](state["v"].read_value())})
    keeping = Function(lambda state: {"done": tf.ones([1]) * state["v"].assign_add(tf.zeros([5]))[:1]})
    exported = export_functions({"read": function, "keep": keeping}, state={"v": VALUES})
    found = Program(exported.tflite).call("read", **{FLAG: np.ones(1, np.float32)})
    expected = OPS[name](tf.constant(VALUES)).numpy()
    np.testing.assert_allclose(unbind_all(exported.signatures["read"].outputs, found)["y"], expected, rtol=1e-6)


def test_what_only_the_converter_makes_of_one_variable_runs_as_well() -> None:
    both = {
        "negated": Function(lambda state: {"y": state["v"].read_value() - (-state["v"].read_value())}),
        "finite": Function(lambda state: {"y": tf.cast(tf.math.is_finite(state["v"].read_value()), tf.float32)}),
    }
    keeping = Function(lambda state: {"done": tf.ones([1]) * state["v"].assign_add(tf.zeros([5]))[:1]})
    exported = export_functions({**both, "keep": keeping}, state={"v": VALUES})
    program = Program(exported.tflite)
    found = {name: program.call(name, **{FLAG: np.ones(1, np.float32)})["y"] for name in both}
    np.testing.assert_array_equal(found["negated"], 2 * VALUES)
    np.testing.assert_array_equal(found["finite"], np.ones(5))
