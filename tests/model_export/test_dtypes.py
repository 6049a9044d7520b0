"""An op of floats, integers and bools gives on devices what it gives in TensorFlow."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from model_export import export_function
from model_export.errors import UnsupportedOpError
from tests.model_export.on_runtimes import Called, OnRuntimes
from wire.tensors import Array, TensorSpec

pytestmark = pytest.mark.tensorflow

LEAST = np.iinfo(np.int64).min
X: Mapping[str, Array] = {
    "float32": np.array([[-2.5, -1, 0.25, 0.5], [1, 1.5, 2, 3]], np.float32),
    "int32": np.array([[-7, -3, 0, 1], [2, 5, 7, -(2**31)]], np.int32),
    "int64": np.array([[-7, -3, 0, 2**62 - 1], [LEAST, 5, 7, 2**33]], np.int64),
    "uint8": np.array([[0, 1, 2, 3], [5, 7, 200, 255]], np.uint8),
    "bool": np.array([[True, False, True, True], [False, False, True, True]]),
}
Y: Mapping[str, Array] = {
    "float32": np.array([[2, -1.5, 3, 1], [-0.5, 0.5, 2, -4]], np.float32),
    "int32": np.array([[2, -2, 3, 1], [-4, 3, -7, -1]], np.int32),
    "int64": np.array([[2, -2, 3, 3], [-1, -3, 7, 2**33 + 1]], np.int64),
    "uint8": np.array([[1, 1, 3, 3], [4, 8, 100, 254]], np.uint8),
    "bool": np.array([[True, True, False, True], [False, True, True, False]]),
}
NUMBERS, SIGNED, INTEGERS, ALL = (
    ("float32", "int32", "int64", "uint8"),
    ("float32", "int32", "int64"),
    ("int32", "int64", "uint8"),
    ("float32", "int32", "int64", "uint8", "bool"),
)
OPS: Mapping[str, tuple[tuple[str, ...], Callable[[Any, Any], Any]]] = {
    "abs": (SIGNED, lambda x, y: tf.abs(x)),
    "sign": (SIGNED, lambda x, y: tf.sign(x)),
    "negative": (SIGNED, lambda x, y: -x),
    "square": (NUMBERS, lambda x, y: tf.square(x)),
    "add": (NUMBERS, lambda x, y: x + y),
    "add_n": (NUMBERS, lambda x, y: tf.add_n([x, y, x])),
    "subtract": (NUMBERS, lambda x, y: x - y),
    "multiply": (NUMBERS, lambda x, y: x * y[:, :1]),
    "floordiv": (NUMBERS, lambda x, y: x // y),
    "floordiv by a constant": (NUMBERS, lambda x, y: x // 10),
    "floormod": (NUMBERS, lambda x, y: x % y),
    "floormod by a constant": (NUMBERS, lambda x, y: x % 10),
    "cube": (("int32", "int64"), lambda x, y: x**3),
    "maximum": (NUMBERS, tf.maximum),
    "minimum": (NUMBERS, tf.minimum),
    "clip": (NUMBERS, lambda x, y: tf.clip_by_value(x, y[0, 3], y[1, 2])),
    "equal": (ALL, tf.equal),
    "not_equal": (ALL, tf.not_equal),
    "less": (NUMBERS, lambda x, y: x < y),
    "less_equal": (NUMBERS, lambda x, y: x <= y),
    "greater": (NUMBERS, lambda x, y: x > y),
    "greater_equal": (NUMBERS, lambda x, y: x >= y),
    "where": (ALL, lambda x, y: tf.where(tf.equal(x, y), x, y)),
    "relu": (NUMBERS, lambda x, y: tf.nn.relu(x)),
    "all": (("bool",), lambda x, y: tf.reduce_all(x, 1)),
    "any": (("bool",), lambda x, y: tf.reduce_any(x, 1)),
    "sum": (NUMBERS, lambda x, y: tf.reduce_sum(x, 1)),
    "sum of all": (NUMBERS, lambda x, y: tf.reduce_sum(x)),
    "mean": (("float32", "uint8"), lambda x, y: tf.reduce_mean(x, 1)),
    "prod": (NUMBERS, lambda x, y: tf.reduce_prod(x, 1)),
    "max": (NUMBERS, lambda x, y: tf.reduce_max(x, 0)),
    "min": (NUMBERS, lambda x, y: tf.reduce_min(x, 1)),
    "cumsum": (NUMBERS, lambda x, y: tf.cumsum(x, 1)),
    "cumprod": (NUMBERS, lambda x, y: tf.math.cumprod(y, 1)),
    "argmax": (NUMBERS, lambda x, y: tf.argmax(x, 1)),
    "argmin as int32": (NUMBERS, lambda x, y: tf.argmin(x, 0, output_type=tf.int32)),
    "count_nonzero": (ALL, lambda x, y: tf.math.count_nonzero(x, 1)),
    "segment sum": (NUMBERS, lambda x, y: tf.math.unsorted_segment_sum(x, [2, -1], 3)),
    "scatter": (NUMBERS, lambda x, y: tf.tensor_scatter_nd_update(x, [[1]], y[:1])),
    "matmul": (SIGNED, lambda x, y: tf.matmul(x, y, transpose_b=True)),
    "matmul of stacks": (("int32", "int64"), lambda x, y: tf.matmul(tf.stack([x, y]), tf.stack([y, x]), True)),
    "einsum": (("int32", "int64"), lambda x, y: tf.einsum("ij,kj->ik", x, y)),
    "one_hot": (INTEGERS, lambda x, y: tf.one_hot(x, 4)),
    "split": (ALL, lambda x, y: tf.concat(tf.split(x, 2, 1)[::-1], 0)),
    "split by sizes": (ALL, lambda x, y: tf.split(x, [1, 3], 1)[1]),
    "unstack": (ALL, lambda x, y: tf.stack(tf.unstack(x)[::-1])),
    "pad": (ALL, lambda x, y: tf.pad(x, [[1, 1], [0, 1]])),
    "space to depth": (ALL, lambda x, y: tf.nn.space_to_depth(x[None, :, :, None], 2)),
}
CALLED = {
    f"{name} of {dtype}": Called(function, [(X[dtype], Y[dtype])])
    for name, (dtypes, function) in OPS.items()
    for dtype in dtypes
}


@pytest.fixture(scope="module")
def runtimes() -> OnRuntimes:
    return OnRuntimes(CALLED)


@pytest.mark.parametrize("name", CALLED)
def test_an_op_gives_what_tensorflow_gives(runtimes: OnRuntimes, name: str) -> None:
    assert not runtimes.differing(name)


def test_a_quotient_of_int64_is_exact_and_one_by_zero_is_refused() -> None:
    random = np.random.default_rng(3)
    sizes = 2.0 ** random.integers(0, 62, (2, 500))
    x, y = (random.uniform(-1, 1, (2, 500)) * sizes).astype(np.int64)
    y[y == 0] = 1
    calls = [(x, y), (x, np.sign(y)), (x, np.where(np.arange(500) == 7, 0, y)), (np.full(500, LEAST), y)]
    found = OnRuntimes({"//": Called(lambda x, y: x // y, calls), "%": Called(lambda x, y: x % y, calls)})
    assert not found.differing("//")
    assert not found.differing("%")


REFUSED: Mapping[str, Callable[[Any], Any]] = {
    r"Pow .*test_dtypes.py:\d+\) raises int64 to powers that are not one constant": lambda x: x**x,
    r"BatchMatMulV2 .*test_dtypes.py:\d+\) multiplies integers": lambda x: tf.matmul(x, tf.stack([x, x])),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_int64_has_no_form_for_is_refused_with_the_line_and_a_way_out(reason: str) -> None:
    with pytest.raises(UnsupportedOpError, match=reason):
        export_function(lambda state, x: {"y": REFUSED[reason](x)}, inputs={"x": TensorSpec("int64", (2, 2))})
