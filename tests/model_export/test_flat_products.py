"""A dense layer's step goes over its weights no more often than it must, and computes what TensorFlow computes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from model_export import Function, export_functions, flat_products, flatbuffer
from model_export.function import ExportedFunctions
from plans.program import FLAG, Program
from wire.tensors import TensorSpec

pytestmark = pytest.mark.tensorflow

W = np.random.default_rng(1).standard_normal((6, 6), np.float32)
X = np.random.default_rng(2).standard_normal((3, 6), np.float32)
INPUTS = {"x": TensorSpec("float32", (3, 6)), "rate": TensorSpec("float32", ())}


def _step(state: Mapping[str, Any], x: Any, rate: Any) -> Mapping[str, Any]:
    y = tf.matmul(x, state["w"].read_value()) + x
    state["w"].assign_sub(rate * tf.matmul(x, y, transpose_a=True))
    return {"y": y}


def _read_twice(state: Mapping[str, Any], x: Any, rate: Any) -> Mapping[str, Any]:
    gradient = tf.matmul(x, tf.matmul(x, state["w"].read_value()), transpose_a=True)
    state["w"].assign_sub(rate * gradient)
    return {"gradient": gradient}


def _squared(state: Mapping[str, Any]) -> Mapping[str, Any]:
    w = state["w"].read_value()
    return {"y": tf.matmul(w, w)}


@pytest.fixture(scope="module")
def exported() -> ExportedFunctions:
    functions = {
        "step": Function(_step, INPUTS),
        "read_twice": Function(_read_twice, INPUTS),
        "squared": Function(_squared),
    }
    return export_functions(functions, state={"w": W})


def _ops(tflite: bytes, signature: str) -> list[tuple[str, tuple[int, ...]]]:
    """(op, shape of its output) for the ops of a signature that give something."""
    model = flatbuffer.read(tflite)
    index = next(one.subgraphIndex for one in model.signatureDefs if one.signatureKey.decode() == signature)
    graph = model.subgraphs[index]
    return [
        (name, flatbuffer.shape(graph.tensors[operator.outputs[0]]))
        for name, operator, owner in flatbuffer.ops(model)
        if owner is graph and len(flatbuffer.outputs(operator))
    ]


def test_a_step_copies_no_weights_around_its_products_and_scales_a_batch(exported: ExportedFunctions) -> None:
    ops = _ops(exported.tflite, "step")
    assert [shape for name, shape in ops if name == "BATCH_MATMUL"] == [(3, 6), (6, 6)]
    assert [shape for name, shape in ops if name == "MUL"] == [(3, 6)]
    assert all(name != "RESHAPE" or len(shape) < 2 for name, shape in ops)


def test_a_product_that_something_else_reads_is_scaled_itself(exported: ExportedFunctions) -> None:
    assert [shape for name, shape in _ops(exported.tflite, "read_twice") if name == "MUL"] == [(6, 6)]


def test_the_numbers_are_those_of_numpy(exported: ExportedFunctions) -> None:
    program = Program(exported.tflite)
    flag, rate = np.ones(1, np.float32), np.array([0.5], np.float32)
    np.testing.assert_allclose(program.call("squared", **{FLAG: flag})["y"], W @ W, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(program.call("step", x=X, rate=rate)["y"], X @ W + X, rtol=1e-5, atol=1e-5)
    after = W - np.float32(0.5) * X.T @ (X @ W + X)
    found = program.call("read_twice", x=X, rate=np.zeros(1, np.float32))["gradient"]
    np.testing.assert_allclose(found, X.T @ (X @ after), rtol=1e-4, atol=1e-4)


def test_a_file_without_stacks_of_one_keeps_its_bytes(exported: ExportedFunctions) -> None:
    assert not flat_products.flatten(flatbuffer.read(exported.tflite))
