"""Local computations as bytes: they compute the same where they are loaded, and bring nothing else along."""

# ruff: noqa: PLW0108 - a lambda is what is tested: it is traced, as what it calls would not be

import base64
import json
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import federated as fed
from federated.language.errors import DocumentError, ExecutionError, MisuseError
from tests.federated.programs import Functions, arguments, program, steps
from tests.golden.make_computations import AVERAGE, FRACTION_OVER

tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.tensorflow


def again(computation: Any) -> Any:
    return fed.deserialize_computation(fed.serialize_computation(computation))


def test_the_golden_program_with_tensorflow_is_read_and_run() -> None:
    fraction_over = fed.deserialize_computation(FRACTION_OVER.read_bytes())
    assert (
        str(fraction_over.type_signature)
        == "(<readings={float32*}@CLIENTS,threshold=float32@SERVER> -> float32@SERVER)"
    )
    assert fraction_over([[68.5, 1.0], [70.3], [71.1, 70.9], []], 70.0) == 0.5


def test_a_program_without_local_computations_is_loaded_without_tensorflow() -> None:
    code = f"""
import sys, federated as fed
computation = fed.deserialize_computation(open({str(AVERAGE)!r}, "rb").read())
assert computation([1.0, 2.0], [1.0, 1.0])["mean"] == 1.5
assert "tensorflow" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_was_captured_is_kept_exactly() -> None:
    weights = tf.constant([np.nan, np.inf, 0.1, 1e-45], tf.float32)
    names = tf.constant(["a", "é"])
    computation = fed.tf_computation(lambda x: (weights, names, x), np.int32)
    found, labels, _ = again(computation)(1)
    assert found.tobytes() == weights.numpy().tobytes()
    assert labels.tolist() == ["a", "é"]


def test_inner_functions_loops_and_data_sets_are_kept() -> None:
    @fed.tf_computation(fed.SequenceType((np.float32, [None])), np.int32)
    def busy(rows: Any, times: Any) -> Any:
        @tf.function  # type: ignore[untyped-decorator]
        def repeated(x: Any) -> Any:
            total = x
            for _ in tf.range(times):
                total += x
            return total

        return rows.map(repeated).reduce(0.0, lambda total, row: total + tf.reduce_sum(row)), rows.take(1)

    expected, found = busy([[1.0, 2.0], [3.0]], 2), again(busy)([[1.0, 2.0], [3.0]], 2)
    assert expected[0] == found[0] == 18
    assert [row.tolist() for row in found[1]] == [[1.0, 2.0]]


@pytest.fixture(scope="module")
def functions() -> Functions:
    return Functions(
        mix=fed.tf_computation(lambda x, y: x * 0.5 - y, np.float32, np.float32),
        most=fed.tf_computation(tf.maximum, np.float32, np.float32),
        add=fed.tf_computation(lambda x, y: x + y, np.int32, np.int32),
        float_of=fed.tf_computation(lambda x: tf.cast(x, tf.float32), np.int32),
        weight=fed.tf_computation(tf.abs, np.float32),
        count=fed.tf_computation(lambda total, x: total + tf.cast(x > 0, tf.int32), np.int32, np.float32),
        same=fed.tf_computation(lambda x: tf.identity(x), np.int32),
    )


@settings(max_examples=15)
@given(data=st.data())
def test_random_programs_give_the_same_where_they_are_loaded(functions: Functions, data: st.DataObject) -> None:
    original = program(functions, data.draw(steps))
    loaded = again(original)
    values = data.draw(arguments())
    try:
        expected = original(*values)
    except ExecutionError as error:  # such as the sum of a mean that is NaN
        with pytest.raises(ExecutionError, match=re.escape(error.message)):
            loaded(*values)
    else:
        found = loaded(*values)
        for name in expected:
            np.testing.assert_array_equal(found[name], expected[name])
    assert fed.serialize_computation(loaded) == fed.serialize_computation(original)


def test_what_is_loaded_is_written_the_same_again() -> None:
    computation = fed.tf_computation(lambda x: x + 1, np.int32)
    data = fed.serialize_computation(computation)
    assert fed.serialize_computation(fed.deserialize_computation(data)) == data


def test_a_loaded_program_is_part_of_another() -> None:
    half = again(fed.tf_computation(lambda x: x / 2, np.float32))
    program = fed.federated_computation(
        lambda x: fed.federated_map(half, x), fed.FederatedType(np.float32, fed.CLIENTS)
    )
    assert again(program)([1.0, 3.0]) == [0.5, 1.5]


def test_what_lives_in_this_process_alone_is_not_written_down() -> None:
    callback = fed.tf_computation(
        lambda x: tf.ensure_shape(tf.py_function(lambda y: y, [x], tf.float32), []), np.float32
    )
    with pytest.raises(MisuseError, match=r"(?s)calls back into Python \(EagerPyFunc\).*at test_serialization.py"):
        fed.serialize_computation(callback)
    table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(["a"], [1]), -1)
    looked_up = fed.tf_computation(lambda x: table.lookup(x), np.str_)
    assert looked_up("a") == 1
    with pytest.raises(MisuseError, match=r"(?s)can't be written down, of the dtype resource.*inside the function"):
        fed.serialize_computation(looked_up)
    numbers = tf.data.Dataset.range(3)
    counted = fed.tf_computation(lambda x: numbers.reduce(x, lambda total, y: total + y), np.int64)
    assert counted(1) == 4
    with pytest.raises(MisuseError, match="can't be written down, of the dtype variant"):
        fed.serialize_computation(counted)


def _with_body(computation: Any, change: Any) -> bytes:
    document = json.loads(fed.serialize_computation(computation))
    node = next(node for node in document["nodes"] if node["kind"] == "local")
    body = json.loads(base64.b64decode(node["body"]))
    change(body)
    node["body"] = base64.b64encode(json.dumps(body).encode()).decode()
    return json.dumps(document).encode()


DAMAGES: dict[str, Any] = {
    "can't be read": lambda body: body.update(graph=base64.b64encode(b"\xff\xff").decode()),
    "base64|can't be read": lambda body: body.update(graph="*"),
    "depends transitively on placeholder": lambda body: body.update(inputs=[]),
    "does not have the outputs of its type": lambda body: body.update(outputs=body["inputs"] + body["outputs"]),
    r"can't be read|graph of": lambda body: body.update(outputs=["nothing:0"]),
    "name": lambda body: body.pop("name"),
    "captures": lambda body: body.update(captures=3),
}


@pytest.mark.parametrize("message", DAMAGES)
def test_a_damaged_body_is_refused(message: str) -> None:
    computation = fed.tf_computation(lambda x: x + 1, np.int32)
    with pytest.raises(DocumentError, match=message):
        fed.deserialize_computation(_with_body(computation, DAMAGES[message]))


def test_a_graph_of_another_type_is_refused() -> None:
    integers = fed.tf_computation(lambda x: x + 1, np.int32)
    document = fed.serialize_computation(integers).replace(b"(int32 -> int32)", b"(int64 -> int32)")
    with pytest.raises(DocumentError, match="does not have the inputs of its type"):
        fed.deserialize_computation(document)


@pytest.mark.parametrize(
    "body",
    [
        lambda x: tf.io.read_file(x),
        lambda x: tf.data.TextLineDataset(x).reduce("", lambda _, line: line),
        lambda x: tf.io.matching_files(x)[0],
    ],
)
def test_a_loaded_graph_reaches_no_file(body: Any) -> None:
    computation = fed.tf_computation(body, np.str_)
    with pytest.raises(DocumentError, match="reaches out of the computation"):
        fed.deserialize_computation(fed.serialize_computation(computation))
