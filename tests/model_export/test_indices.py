"""An index that is known only at run time takes what TensorFlow takes, and one that is not there is refused: nothing is
read or written that is not the tensor's."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from model_export import export_function
from model_export.errors import UnsupportedOpError
from tests.model_export.on_runtimes import Called, OnRuntimes
from wire.tensors import Array, TensorSpec

pytestmark = pytest.mark.tensorflow

X = np.arange(10, 20, dtype=np.float32)
MATRIX = np.arange(12, dtype=np.float32).reshape(3, 4)
FIVE = np.arange(24, dtype=np.float32).reshape(2, 1, 3, 2, 2)
TOO_LARGE = 2**30  # times four is 0 in 32 bits, which is where tflite-runtime 2.14 looked


def _gradient(function: Callable[[Any], Any], x: Any) -> Any:
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(function(x) * 2.0)
    return tf.ensure_shape(tape.gradient(total, x), x.shape)


def _vector(i: Any) -> Any:
    return tf.reshape(i, [1, 1])


ONE_AXIS: Mapping[str, Callable[[Any, Any], Any]] = {
    "x[i]": lambda x, i: x[i],
    "slice": lambda x, i: tf.slice(x, [i], [2]),
    "gather": tf.gather,
    "gather_nd": lambda x, i: tf.gather_nd(x, _vector(i)),
    "update": lambda x, i: tf.tensor_scatter_nd_update(x, _vector(i), [5.0]),
    "add": lambda x, i: tf.tensor_scatter_nd_add(x, _vector(i), [5.0]),
    "sub": lambda x, i: tf.tensor_scatter_nd_sub(x, _vector(i), [5.0]),
    "scatter_nd": lambda x, i: tf.scatter_nd(_vector(i), [5.0], [10]) + x,
    "segment_sum": lambda x, i: tf.math.unsorted_segment_sum(x, tf.fill([10], i), 10),
    "one_hot": lambda x, i: tf.one_hot(i, 10) * x,
}
OTHERS: Mapping[str, tuple[Callable[[Any, Any], Any], Array]] = {
    "row": (lambda x, i: x[i], MATRIX),
    "column": (lambda x, i: x[:, i], MATRIX),
    "part of a row": (lambda x, i: tf.reduce_sum(x[i, 1:]), MATRIX),
    "new axis": (lambda x, i: tf.reduce_sum(x[i, tf.newaxis, ..., ::2]), MATRIX),
    "entry": (lambda x, i: x[i, i], MATRIX),
    "of five axes": (lambda x, i: x[0, ..., i, :, 1], FIVE),
    "bounds in a tensor": (lambda x, i: tf.strided_slice(x, [i], [i + 1], [1], shrink_axis_mask=1), MATRIX),
    "gather rows": (lambda x, i: tf.gather(x, tf.stack([i, 0])), MATRIX),
    "gather in a stack": (lambda x, i: tf.gather(x, tf.stack([[i], [0], [1]]), batch_dims=1), MATRIX),
    "gather_nd two": (lambda x, i: tf.gather_nd(x, tf.stack([[i, 1]])), MATRIX),
    "scatter two": (lambda x, i: tf.scatter_nd(tf.stack([[i, 1]]), [5.0], [3, 4]) + x, MATRIX),
    "integers": (lambda x, i: x[i], np.arange(3, dtype=np.int64)),
    "bools": (lambda x, i: x[i], np.array([True, False, True])),
}
INDICES = (0, 2, -1, -3, -4, 9, 10, -11, 1000, TOO_LARGE, -TOO_LARGE)
GRADIENTS: Mapping[str, Callable[[Any, Any], Any]] = {
    "x[i]": lambda x, i: _gradient(lambda x: x[i], x),
    "x[1, i]": lambda x, i: _gradient(lambda x: x[1, i], x),
    "x[i, 1:]": lambda x, i: _gradient(lambda x: tf.reduce_sum(x[i, 1:]), x),
    "a slice": lambda x, i: _gradient(lambda x: tf.slice(x, [i, 0], [1, 2]), x),
}


BEYOND_INT32 = (2**31, 2**32 + 1, -(2**32) + 1)


def _at(function: Callable[[Any, Any], Any], x: Array, indices: Sequence[int], dtype: Any = np.int32) -> Called:
    return Called(function, [(x, np.array(index, dtype)) for index in indices])


CALLED = {
    **{name: _at(function, X, INDICES) for name, function in ONE_AXIS.items()},
    **{f"{name}, int64": _at(f, X, (*INDICES, *BEYOND_INT32), np.int64) for name, f in ONE_AXIS.items()},
    **{name: _at(function, x, INDICES) for name, (function, x) in OTHERS.items()},
    # The gradient alone puts nothing anywhere for a place that is not there; what it is the gradient of is refused.
    **{f"gradient of {name}": _at(function, MATRIX, (0, 1, 2)) for name, function in GRADIENTS.items()},
}


@pytest.fixture(scope="module")
def runtimes() -> OnRuntimes:
    return OnRuntimes(CALLED)


@pytest.mark.parametrize("name", CALLED)
def test_an_index_takes_what_it_takes_in_tensorflow_or_is_refused(runtimes: OnRuntimes, name: str) -> None:
    assert not runtimes.differing(name)


@pytest.mark.parametrize("name", ["x[i:]", "x[:i]", "x[i:i + 2]"])
def test_a_slice_of_as_many_entries_as_data_say_is_refused_with_a_way_out(name: str) -> None:
    slices = {"x[i:]": lambda x, i: x[i:], "x[:i]": lambda x, i: x[:i], "x[i:i + 2]": lambda x, i: x[i : i + 2]}
    inputs = {"x": TensorSpec("float32", (10,)), "i": TensorSpec("int32", ())}
    with pytest.raises(UnsupportedOpError, match=r"StridedSlice .*test_indices.py:\d+\) takes as many .* tf.slice"):
        export_function(lambda state, x, i: {"y": tf.reduce_sum(slices[name](x, i))}, inputs=inputs)
