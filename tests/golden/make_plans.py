"""Makes `linear.plan`: the smallest real plan, so that tests can run rounds without TensorFlow.

    python -m tests.golden.make_plans

A linear model y = w . x + b over examples x float32[2], y float32, squared error, one SGD step a batch of four:

    train       begin(w, b, client_learning_rate), step(x, y, example_weight), finish -> weighted (w, b), weight
    evaluate    begin(w, b), step, finish -> loss_sum, loss_count
    server      w += server_learning_rate x sum_w / sum_weight

The programs use ADD, SUB, MUL, DIV, SUM and the like, no gradient tape, and need nothing but builtin ops. The file is
committed; another version of TensorFlow may make other bytes that do the same (`test_linear_plan` holds it to numpy).
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from plans import bundle, contract
from plans.bundle import Plan
from plans.manifest import (
    FORMAT_VERSION,
    Aggregation,
    Group,
    Kind,
    Manifest,
    Pass,
    Phase,
    Port,
    Role,
    Selector,
    StateTensor,
    Work,
    features_of,
)
from wire.tensors import TensorSpec

LINEAR = Path(__file__).with_name("linear.plan")
BATCH_SIZE = 4
FEATURES = 2


def linear_plan() -> Plan:
    """The plan, made anew with TensorFlow and held against its manifest."""
    initial = {
        "w": np.zeros(FEATURES, np.float32),
        "b": np.zeros((), np.float32),
        "client_learning_rate": np.array(0.1, np.float32),
        "server_learning_rate": np.array(1.0, np.float32),
    }
    plan = Plan(_manifest(), _convert(*_client()), _convert(*_server()), initial)
    contract.check(plan)
    return plan


def _manifest() -> Manifest:
    vector = Port(TensorSpec("float32", (FEATURES,)))
    scalar = Port(TensorSpec("float32", ()), TensorSpec("float32", (1,)))
    model = {"w": vector, "b": scalar}
    metrics = {"loss_sum": scalar, "loss_count": scalar}
    inputs = {"x": Port(TensorSpec("float32", (FEATURES,))), "y": Port(TensorSpec("float32", ()))}
    selector = Selector("default", {"x": "x", "y": "y"}, BATCH_SIZE)
    train = Work(
        role=Role.TRAIN,
        begin="train_begin",
        passes=(Pass("train_step", inputs, selector, example_weight="example_weight"),),
        finish="train_finish",
        broadcast={**model, "client_learning_rate": scalar},
        prepare="train_prepare",
        update={**model, "weight": scalar},
        update_state="train_update",
        aggregation=(Aggregation("model", Kind.MEAN, ("b", "w"), weight="weight"),),
        metrics=metrics,
    )
    evaluate = Work(
        role=Role.EVALUATE,
        begin="evaluate_begin",
        passes=(Pass("evaluate_step", inputs, selector, example_weight="example_weight"),),
        finish="evaluate_finish",
        broadcast=model,
        prepare="evaluate_prepare",
        metrics=metrics,
    )
    return Manifest(
        format_version=FORMAT_VERSION,
        name="linear",
        type="(<state@SERVER,{<x=float32[2],y=float32>*}@CLIENTS> -> state@SERVER)",
        state={
            "w": StateTensor(vector, Group.PARAMETERS, "linear/kernel"),
            "b": StateTensor(scalar, Group.PARAMETERS, "linear/bias"),
            "client_learning_rate": StateTensor(scalar, Group.HYPERPARAMETERS),
            "server_learning_rate": StateTensor(scalar, Group.HYPERPARAMETERS),
        },
        phases=(Phase({"train": train, "evaluate": evaluate}),),
        required_features=features_of(train, evaluate),
    )


Signatures = dict[str, Any]


def _client() -> tuple[Any, Signatures]:
    """The client's module and its signatures. The carry lives in variables; `begin` assigns every one of them."""
    import tensorflow as tf

    module = tf.Module()
    module.w, module.w_first = (tf.Variable(tf.zeros([FEATURES]), name=name) for name in ("w", "w_first"))
    names = ("b", "b_first", "learning_rate", "weight", "loss_sum", "loss_count")
    for name in names:
        setattr(module, name, tf.Variable(tf.zeros([1]), name=name))

    def begin(w: Any, b: Any, client_learning_rate: Any) -> dict[str, Any]:
        for variable, value in ((module.w, w), (module.w_first, w), (module.b, b), (module.b_first, b)):
            variable.assign(value)
        module.learning_rate.assign(client_learning_rate)
        for variable in (module.weight, module.loss_sum, module.loss_count):
            variable.assign(tf.zeros([1]))
        return {"ready": module.loss_count + 1.0}

    def step(x: Any, y: Any, example_weight: Any) -> dict[str, Any]:
        """One SGD step on the batch's mean squared error; an evaluation's learning rate is zero."""
        error = tf.reduce_sum(x * module.w, axis=1) + module.b - y
        count = tf.reduce_sum(example_weight, keepdims=True)
        loss = tf.reduce_sum(example_weight * error * error, keepdims=True)
        slope = 2.0 * example_weight * error / tf.maximum(count, 1.0)
        module.w.assign_sub(module.learning_rate * tf.reduce_sum(slope[:, None] * x, axis=0))
        module.b.assign_sub(module.learning_rate * tf.reduce_sum(slope, keepdims=True))
        module.weight.assign_add(count)
        module.loss_sum.assign_add(loss)
        module.loss_count.assign_add(count)
        return {"loss": loss / tf.maximum(count, 1.0)}

    def finish(flag: Any) -> dict[str, Any]:
        return {"loss_sum": module.loss_sum * flag, "loss_count": module.loss_count * flag}

    def finish_train(flag: Any) -> dict[str, Any]:
        return finish(flag) | {
            "w": (module.w - module.w_first) * module.weight,
            "b": (module.b - module.b_first) * module.weight,
            "weight": module.weight * flag,
        }

    def begin_evaluate(w: Any, b: Any) -> dict[str, Any]:
        return begin(w, b, tf.zeros([1]))

    batch = {"x": [BATCH_SIZE, FEATURES], "y": [BATCH_SIZE], "example_weight": [BATCH_SIZE]}
    return module, {
        "train_begin": _signature(begin, {"w": [FEATURES], "b": [1], "client_learning_rate": [1]}),
        "train_step": _signature(step, batch),
        "train_finish": _signature(finish_train, {"flag": [1]}),
        "evaluate_begin": _signature(begin_evaluate, {"w": [FEATURES], "b": [1]}),
        "evaluate_step": _signature(step, batch),
        "evaluate_finish": _signature(finish, {"flag": [1]}),
    }


def _server() -> tuple[Any, Signatures]:
    """The server's module, without variables, and its signatures."""
    import tensorflow as tf

    def prepare(w: Any, b: Any, client_learning_rate: Any, server_learning_rate: Any) -> dict[str, Any]:
        return {"w": w, "b": b, "client_learning_rate": client_learning_rate}

    def prepare_evaluate(w: Any, b: Any, client_learning_rate: Any, server_learning_rate: Any) -> dict[str, Any]:
        return {"w": w, "b": b}

    def update(
        *,
        w: Any,
        b: Any,
        client_learning_rate: Any,
        server_learning_rate: Any,
        sum_w: Any,
        sum_b: Any,
        sum_weight: Any,
    ) -> dict[str, Any]:
        scale = server_learning_rate / tf.maximum(sum_weight, 1e-6)
        return {
            "w": w + scale * sum_w,
            "b": b + scale * sum_b,
            "client_learning_rate": client_learning_rate,
            "server_learning_rate": server_learning_rate,
        }

    state = {"w": [FEATURES], "b": [1], "client_learning_rate": [1], "server_learning_rate": [1]}
    sums = {"sum_w": [FEATURES], "sum_b": [1], "sum_weight": [1]}
    return tf.Module(), {
        "train_prepare": _signature(prepare, state),
        "evaluate_prepare": _signature(prepare_evaluate, state),
        "train_update": _signature(update, state | sums),
    }


def _signature(function: Callable[..., Any], shapes: Mapping[str, list[int]]) -> Any:
    import tensorflow as tf

    specs = {name: tf.TensorSpec(shape, tf.float32, name=name) for name, shape in shapes.items()}
    return tf.function(function).get_concrete_function(**specs)


def _convert(module: Any, signatures: Signatures) -> bytes:
    import tempfile

    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=sorted(signatures))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        converter.experimental_enable_resource_variables = True
        return bytes(converter.convert())


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    LINEAR.write_bytes(bundle.pack(linear_plan()))
    print(f"{LINEAR}: {LINEAR.stat().st_size} bytes")
