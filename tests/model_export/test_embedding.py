"""Rows of tables: gathered, differentiated, and changed in variables, where indices repeat or point at nothing."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from model_export.convert import convert
from model_export.progress import silent
from model_export.signature import Signature
from plans.program import Program
from tests.model_export.conformance import Case, Family, check, of_layer
from wire.tensors import TensorSpec

pytestmark = pytest.mark.tensorflow

TABLE = (7, 4)
INDICES = np.array([[0, 6, 6], [2, 0, 6]], np.int32)


def _segments(x: Any, indices: Any) -> Any:
    return tf.math.unsorted_segment_sum(x, indices, 5)


def _embedding() -> Case:
    case = of_layer("embedding_layer", layers.Embedding(*TABLE), (2, 3))
    return Case(case.name, lambda table, indices: case.function(indices, table), (TABLE,), (INDICES,))


CASES = [
    Case("gather", tf.gather, (TABLE,), (INDICES,)),
    Case("gather_columns", lambda x, i: tf.gather(x, i, axis=1), (TABLE,), (INDICES % 4,)),
    Case("gather_in_batches", lambda x, i: tf.gather(x, i, batch_dims=1), ((2, 7, 3),), (INDICES,)),
    Case("lookup", tf.nn.embedding_lookup, (TABLE,), (INDICES,)),
    _embedding(),
    Case("segments", _segments, ((3, 4),), (np.array([0, 3, 0], np.int32),)),
    Case("gather_nd", tf.gather_nd, (TABLE,), (INDICES[:, :2] % 4,)),
    Case("one_hot", lambda x, i: tf.one_hot(i, 7) @ x, (TABLE,), (INDICES,)),
]


@pytest.fixture(scope="module")
def family() -> Family:
    return Family(CASES)


@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_gathered_rows_and_their_gradient_are_those_of_tensorflow(family: Family, name: str) -> None:
    check(family, name)


@pytest.mark.parametrize("change", ["scatter_add", "scatter_sub", "scatter_update"])
def test_rows_of_a_variable_change_as_in_tensorflow(change: str) -> None:
    start = np.arange(28, dtype=np.float32).reshape(TABLE)
    variable, expected = tf.Variable(start), tf.Variable(start)
    indices = np.array([5, 0, 2] if change == "scatter_update" else [5, 0, 5], np.int32)

    def body(rows: Any, indices: Any) -> dict[str, Any]:
        getattr(variable, change)(tf.IndexedSlices(rows, indices))
        return {"gathered": tf.gather(variable, [5, 0, 1])}

    inputs = {"rows": TensorSpec("float32", (3, 4)), "indices": TensorSpec("int32", (3,))}
    program = Program(convert([Signature("run", inputs, body)], [variable], (), silent))
    rows = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    for _ in range(2):
        found = program.call("run", rows=rows, indices=indices)["gathered"]
        getattr(expected, change)(tf.IndexedSlices(tf.constant(rows), tf.constant(indices)))
        np.testing.assert_allclose(found, expected.numpy()[[5, 0, 1]], rtol=1e-6)
