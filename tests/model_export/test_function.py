"""Any functions become signatures of one file that share state, and compute what TensorFlow computes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from model_export.errors import FunctionError, UnsupportedOpError, VerificationError
from model_export.function import ExportedFunctions, Function
from model_export.function_export import export_function, export_functions
from model_export.lowering.registry import register_lowering, unregister_lowering
from plans.manifest import Port
from plans.program import Program, unbind_all
from wire.tensors import Array, TensorSpec

pytestmark = pytest.mark.tensorflow

SCALAR, LONG, FLAG = TensorSpec("float32", ()), TensorSpec("int64", ()), TensorSpec("bool", ())
VECTOR, MATRIX = TensorSpec("float32", (4,)), TensorSpec("float32", (4, 2))


class Running:
    """An exported file on the interpreter, spoken to in logical tensors."""

    def __init__(self, exported: ExportedFunctions) -> None:
        self._exported = exported
        self.program = Program(exported.tflite)

    def call(self, name: str, **tensors: Array) -> dict[str, Array]:
        ports = self._exported.signatures[name]
        if not ports.inputs:
            return unbind_all(ports.outputs, self.program.call(name, flag=np.ones(1, np.float32)))
        return unbind_all(ports.outputs, self.program.call_through(name, ports.inputs, tensors))


def test_the_mean_of_squares_is_accumulated_over_calls() -> None:
    def begin(state: Mapping[str, Any]) -> None:
        state["sum"].assign(0.0)
        state["count"].assign(0)

    @tf.function  # type: ignore[untyped-decorator]  # TensorFlow ships no types
    def step(state: Mapping[str, Any], values: Any, weight: Any) -> None:
        state["sum"].assign_add(tf.reduce_sum(weight * values**2))
        state["count"].assign_add(tf.cast(tf.reduce_sum(weight), tf.int64))

    def finish(state: Mapping[str, Any]) -> Mapping[str, Any]:
        mean = tf.math.divide_no_nan(state["sum"], tf.cast(state["count"], tf.float32))
        return {"mean": mean, "count": state["count"], "any": state["count"] > 0}

    weights = np.array([1, 1, 0, 1], np.float32)
    values = np.array([1, 2, 100, 3], np.float32)
    exported = export_functions(
        {
            "begin": Function(begin),
            "step": Function(
                step, {"values": VECTOR, "weight": VECTOR}, samples=[{"values": values, "weight": weights}]
            ),
            "finish": Function(finish),
        },
        state={"sum": 5.0, "count": np.int64(7)},
    )
    assert exported.signatures["finish"].outputs == {
        "mean": Port(SCALAR, TensorSpec("float32", (1,))),
        "count": Port(LONG, TensorSpec("int32", (1,))),
        "any": Port(FLAG, TensorSpec("uint8", (1,))),
    }
    running = Running(exported)
    assert running.call("finish")["count"] == 7  # the initial state
    assert running.call("begin") == {}
    assert not running.call("finish")["any"]
    for _ in range(3):
        running.call("step", values=values, weight=weights)
    found = running.call("finish")
    np.testing.assert_allclose(found["mean"], 14 / 3, rtol=1e-6)
    np.testing.assert_array_equal(found["count"], np.array(9, np.int64), strict=True)


def test_a_histogram_counts_what_is_kept() -> None:
    def step(state: Mapping[str, Any], values: Any, keep: Any) -> Mapping[str, Any]:
        bins = tf.clip_by_value(tf.cast(values * 4.0, tf.int32), 0, 3)
        counts = tf.reduce_sum(tf.one_hot(bins, 4) * tf.cast(keep, tf.float32)[:, None], 0)
        return {"histogram": state["counts"].assign_add(tf.cast(counts, tf.int32)), "kept": tf.reduce_any(keep)}

    exported = export_function(
        step, inputs={"values": VECTOR, "keep": TensorSpec("bool", (4,))}, state={"counts": np.zeros(4, np.int32)}
    )
    running = Running(exported)
    values, keep = np.array([0.1, 0.9, 0.3, 0.8], np.float32), np.array([True, True, False, True])
    running.call("call", values=values, keep=keep)
    found = running.call("call", values=values, keep=keep)
    np.testing.assert_array_equal(found["histogram"], np.array([2, 0, 0, 4], np.int32), strict=True)
    np.testing.assert_array_equal(found["kept"], np.array(True), strict=True)


def test_a_train_step_written_by_hand_learns_a_line() -> None:
    def step(state: Mapping[str, Any], x: Any, y: Any, learning_rate: Any) -> Mapping[str, Any]:
        w, b = state["w"], state["b"]
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((tf.linalg.matvec(x, w) + b - y) ** 2)
        for variable, gradient in zip((w, b), tape.gradient(loss, [w, b]), strict=True):
            variable.assign_sub(learning_rate * gradient)
        return {"loss": loss}

    def parameters(state: Mapping[str, Any]) -> Mapping[str, Any]:
        return dict(state)

    exported = export_functions(
        {
            "step": Function(step, {"x": MATRIX, "y": VECTOR, "learning_rate": SCALAR}),
            "parameters": Function(parameters),
        },
        state={"w": np.zeros(2, np.float32), "b": 0.0},
    )
    running, random = Running(exported), np.random.default_rng(1)
    for _ in range(300):
        x = random.standard_normal((4, 2)).astype(np.float32)
        y = (x @ np.array([2, -1], np.float32) + 0.5).astype(np.float32)
        running.call("step", x=x, y=y, learning_rate=np.array(0.1, np.float32))
    found = running.call("parameters")
    np.testing.assert_allclose(found["w"], [2, -1], atol=1e-3)
    np.testing.assert_allclose(found["b"], 0.5, atol=1e-3)


def test_integers_may_stay_wide_where_a_port_says_so() -> None:
    wide = Port(LONG, TensorSpec("int64", (1,)))
    function = Function(lambda state, n: {"twice": n + n}, {"n": wide}, outputs={"twice": wide})
    running = Running(export_functions({"double": function}))
    assert running.call("double", n=np.array(1 << 40))["twice"] == 1 << 41


def test_a_function_may_draw_where_it_says_so() -> None:
    def noise(state: Mapping[str, Any], seed: Any) -> Mapping[str, Any]:
        return {"noise": tf.random.stateless_uniform([1000], tf.stack([seed, 0]))}

    inputs = {"seed": TensorSpec("int32", ())}
    with pytest.raises(VerificationError, match="draw: noise differs from TensorFlow"):
        export_functions({"draw": Function(noise, inputs)})
    running = Running(export_functions({"draw": Function(noise, inputs, is_random=True)}))
    drawn = [running.call("draw", seed=np.array(seed, np.int32))["noise"] for seed in (1, 2, 1)]
    assert np.array_equal(drawn[0], drawn[2])
    assert not np.array_equal(drawn[0], drawn[1])
    assert abs(drawn[0].mean() - 0.5) < 0.05


@pytest.mark.parametrize(
    ("body", "spec"),
    [
        (lambda n: 12 // n, TensorSpec("int32", (4,))),
        (lambda n: tf.gather([1.0, 2.0], n), TensorSpec("int32", (4,))),
        (lambda n: tf.gather([1.0], n), TensorSpec("int32", (4,))),
        (lambda x: tf.math.log(x) + tf.sqrt(x), VECTOR),
        (lambda n: tf.gather([1.0, 2.0], n - 7), TensorSpec("int32", ())),
    ],
)
def test_a_function_that_random_numbers_mean_nothing_to_is_verified_with_others(body: Any, spec: TensorSpec) -> None:
    name = "x" if spec.dtype == "float32" else "n"
    export_function(lambda state, **given: {"y": body(given[name])}, inputs={name: spec})


def test_a_function_that_is_chaotic_where_weights_are_large_is_verified_where_they_are_not() -> None:
    weights, start = TensorSpec("float32", (64, 64)), TensorSpec("float32", (4, 64))

    def recurrence(state: Any, w: Any, x: Any) -> Any:
        for _ in range(40):
            x = tf.tanh(tf.linalg.matmul(x, w))
        return {"y": x}

    running = Running(export_function(recurrence, inputs={"w": weights, "x": start}))
    w, x = np.eye(64, dtype=np.float32), np.ones((4, 64), np.float32)
    np.testing.assert_allclose(running.call("call", w=w, x=x)["y"], recurrence(None, w, x)["y"], atol=1e-5)


def _gives(value: Any) -> Function:
    return Function(lambda state, x: value(x), {"x": VECTOR})


REFUSED = {
    "no mapping": ({"f": _gives(lambda x: x)}, {}, "function 'f': it gives a "),
    "a name in capitals": ({"f": _gives(lambda x: {"Y": x})}, {}, "function 'f': 'Y': it is not a name of a plan"),
    "a signature with a dash": ({"f-g": _gives(lambda x: {"y": x})}, {}, "function 'f-g': it is not a name"),
    "doubles": ({"f": _gives(lambda x: {"y": tf.cast(x, tf.float64)})}, {}, "function 'f': y: it is float64"),
    "half precision": ({"f": _gives(lambda x: {"y": tf.cast(x, tf.bfloat16)})}, {}, "dtype 'bfloat16' is not one of"),
    "a size that depends on data": (
        {"f": _gives(lambda x: {"y": tf.boolean_mask(x, x > 0.0)})},
        {},
        r"y: its shape is \(None,\)",
    ),
    "a state of doubles": ({"f": _gives(lambda x: {"y": x})}, {"s": np.ones(2)}, r"state 's': it is float64\[2\]"),
}


@pytest.mark.parametrize(("functions", "state", "message"), REFUSED.values(), ids=REFUSED)
def test_what_no_plan_can_hold_is_refused(functions: Any, state: Any, message: str) -> None:
    with pytest.raises(FunctionError, match=message):
        export_functions(functions, state=state)


def test_an_op_without_a_builtin_form_is_refused_with_its_line() -> None:
    with pytest.raises(UnsupportedOpError, match=r"the op Cholesky .*test_function\.py"):
        export_function(lambda state, x: {"y": tf.linalg.cholesky(tf.linalg.diag(x))}, inputs={"x": VECTOR})


def test_a_file_that_computes_something_else_is_refused() -> None:
    @register_lowering("Sinh")
    def wrong(op: Any, inputs: Any, scope: Any) -> Any:
        return [tf.exp(inputs[0])]

    try:
        with pytest.raises(VerificationError, match="call: y differs"):
            export_function(lambda state, x: {"y": tf.sinh(x)}, inputs={"x": VECTOR})
        # Where TensorFlow comes to no number for most that are drawn, it shows with those that are left.
        with pytest.raises(VerificationError, match="call: y differs"):
            export_function(lambda state, x: {"y": tf.sinh(tf.math.log(x))}, inputs={"x": VECTOR})
    finally:
        unregister_lowering("Sinh")


@pytest.mark.parametrize(("length", "is_refused"), [(2000, False), (500, True)])
def test_one_integer_in_a_thousand_may_differ_for_a_rounding_may_decide_it(length: int, is_refused: bool) -> None:
    def signs(state: Mapping[str, Any], x: Any) -> Mapping[str, Any]:
        codes = tf.cast(x > 0, tf.int32)
        return {"codes": tf.concat([1 - codes[:1], codes[1:]], 0) if tf.executing_eagerly() else codes}

    inputs = {"x": TensorSpec("float32", (length,))}
    if not is_refused:
        export_function(signs, inputs=inputs)
        return
    with pytest.raises(VerificationError, match="call: codes differs"):
        export_function(signs, inputs=inputs)
