"""Loops are unrolled, branches taken, and lists of tensors gone: with their gradients, as TensorFlow computes them."""

from typing import Any

import keras
import pytest
import tensorflow as tf
from keras import layers

from model_export.errors import UnsupportedOpError
from model_export.signature import Signature, lower, trace
from tests.model_export.conformance import Case, Family, check, of_layer
from wire.tensors import TensorSpec

pytestmark = pytest.mark.tensorflow


def _power(x: Any) -> Any:
    for _ in tf.range(3):
        x = x * tf.tanh(x)
    return x


def _fixed_steps(x: Any) -> Any:
    return tf.while_loop(lambda i, y: i < 4, lambda i, y: (i + 1, tf.sin(y) + y), (0, x))[1]


def _nested_loops(x: Any) -> Any:
    def outer(i: Any, y: Any) -> Any:
        return i + 1, tf.while_loop(lambda j, z: j < i, lambda j, z: (j + 1, tf.tanh(z)), (0, y))[1]

    return tf.while_loop(lambda i, y: i < 3, outer, (0, x))[1]


def _growing(x: Any) -> Any:
    """A loop whose state has another shape in every step."""

    def step(i: Any, y: Any) -> Any:
        return i + 1, tf.concat([y, x * tf.cast(i, tf.float32)], 0)

    invariants = (tf.TensorShape([]), tf.TensorShape([None, 3]))
    y = tf.while_loop(lambda i, y: i < 3, step, (1, x), shape_invariants=invariants)[1]
    return tf.nn.relu(tf.ensure_shape(y, [6, 3]))


def _float_counter(x: Any) -> Any:
    return tf.while_loop(lambda t, y: t < 1.0, lambda t, y: (t + 0.25, y * tf.exp(t)), (0.0, x))[1]


def _array(x: Any) -> Any:
    """Every second entry is written, one is read twice, the rest stay zeros."""
    array = tf.TensorArray(tf.float32, 4, element_shape=x.shape, clear_after_read=False)
    array = array.write(0, x).write(2, x * x)
    return array.stack() + array.read(2) * array.read(0)


def _scattered(x: Any) -> Any:
    array = tf.TensorArray(tf.float32, 0, dynamic_size=True, infer_shape=True).scatter([3, 0], x * x)
    array = array.write(1, x[0]).write(2, x[1])
    return array.gather([0, 3, 3]) * tf.cast(array.size(), tf.float32)


def _split_and_concatenated(x: Any) -> Any:
    array = tf.TensorArray(tf.float32, 2, infer_shape=False).split(x * x, [1, 1])
    return tf.ensure_shape(array.concat(), [2, 3])


def _branch(x: Any) -> Any:
    return tf.cond(tf.constant([1, 2]).shape[0] + tf.size(x) > 7, lambda: x * tf.tanh(x), lambda: tf.zeros_like(x))


def _branch_in_loop(x: Any) -> Any:
    def step(i: Any, y: Any) -> Any:
        return i + 1, tf.cond(i % 2 == 0, lambda: tf.nn.relu(y) * x, lambda: y - tf.sin(x))

    return tf.while_loop(lambda i, y: i < 5, step, (0, x))[1]


def _branch_on_data(x: Any) -> Any:
    weight = tf.exp(x)
    return tf.cond(tf.reduce_sum(x) > 0.0, lambda: tf.nn.relu(x) * weight, lambda: x * tf.sin(weight * x))


def _switch(x: Any) -> Any:
    return tf.switch_case(tf.rank(x), [lambda: x, lambda: -x, lambda: x * x])


def _scan(x: Any) -> Any:
    return tf.scan(lambda carry, row: carry * 0.5 + tf.tanh(row), x)


def _mapped(x: Any) -> Any:
    return tf.map_fn(lambda row: tf.nn.softmax(row) * tf.reduce_sum(row), x)


def _per_example_gradients(x: Any, kernel: Any) -> Any:
    """The gradient of every example, clipped, as in private training."""

    def one(row: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(kernel)
            loss = tf.reduce_sum(tf.tanh(row[tf.newaxis] @ kernel))
        return tf.clip_by_norm(tape.gradient(loss, kernel), 0.5)

    return tf.reduce_sum(tf.map_fn(one, x), 0)


def _loop_of_functions(x: Any) -> Any:
    inner = tf.function(lambda y: tf.nn.relu(y) + 0.1 * y)
    return tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, inner(y - 0.2)), (0, x))[1]


def _with_gaps(x: Any) -> Any:
    """A sequence in which some steps are masked, also the first and the last."""
    if x.ndim == 3:
        x[0, 0], x[0, 3], x[1, -2:] = 0, 0, 0
    return x


CASES = [
    Case("for_range", tf.function(_power)),
    Case("fixed_steps", _fixed_steps),
    Case("nested_loops", _nested_loops),
    Case("growing", _growing),
    Case("float_counter", _float_counter),
    Case("array", _array),
    Case("scattered", _scattered),
    Case("split_and_concatenated", _split_and_concatenated),
    Case("branch", _branch),
    Case("branch_in_loop", _branch_in_loop),
    Case("branch_on_data", _branch_on_data),
    Case("branch_on_data_not_taken", _branch_on_data, draw=lambda x: -abs(x)),
    Case("switch", _switch),
    Case("scan", _scan, ((5, 3),)),
    Case("mapped", _mapped),
    Case("per_example_gradients", _per_example_gradients, ((4, 3), (3, 2))),
    Case("loop_of_functions", _loop_of_functions),
]
STEPS = (2, 5, 3)
MASKED_SEQUENCES = [layers.Masking(), layers.LSTM(4, return_sequences=True)]
CASES += [
    of_layer("lstm", layers.LSTM(4), STEPS),
    of_layer("lstm_sequences", layers.LSTM(4, return_sequences=True), STEPS),
    of_layer("lstm_backwards", layers.LSTM(4, go_backwards=True), STEPS),
    of_layer("gru", layers.GRU(4), STEPS),
    of_layer("gru_reset_before", layers.GRU(4, reset_after=False, return_sequences=True), STEPS),
    of_layer("gru_unrolled", layers.GRU(4, unroll=True), STEPS),
    of_layer("simple_rnn", layers.SimpleRNN(4), STEPS),
    of_layer("stacked_cells", layers.RNN([layers.LSTMCell(4), layers.GRUCell(3)]), STEPS),
    of_layer("bidirectional", layers.Bidirectional(layers.LSTM(3, return_sequences=True)), STEPS),
    of_layer("time_distributed", layers.TimeDistributed(layers.Dense(4, activation="relu")), STEPS),
    of_layer("masked", keras.Sequential([layers.Masking(), layers.GRU(4)]), STEPS, draw=_with_gaps),
    of_layer(
        "masked_lstm",
        keras.Sequential(MASKED_SEQUENCES),
        STEPS,
        draw=_with_gaps,
    ),
    of_layer("conv_lstm_1d", layers.ConvLSTM1D(2, 3), (2, 3, 6, 2)),
    of_layer("conv_lstm_2d", layers.ConvLSTM2D(2, 3, padding="same"), (2, 3, 4, 5, 2)),
]


@pytest.fixture(scope="module")
def family() -> Family:
    return Family(CASES)


@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_control_flow_is_that_of_tensorflow(family: Family, name: str) -> None:
    check(family, name)


def test_many_steps_are_unrolled_without_recursion() -> None:
    case = Case("many", lambda x: tf.while_loop(lambda i, y: i < 120, lambda i, y: (i + 1, y + tf.sin(y)), (0, x))[1])
    for _, difference in Family([case]).differences("many"):
        assert difference <= case.tolerance


def _until(x: Any) -> Any:
    return tf.while_loop(lambda y: tf.reduce_sum(y) < 1.0, lambda y: (2.0 * y,), (x,))[0]


def _forever(x: Any) -> Any:
    return tf.while_loop(lambda i, y: i >= 0, lambda i, y: (i, y * 2.0), (0, x))[1]


def _item(x: Any) -> Any:
    array = tf.TensorArray(tf.float32, 2).unstack(x)
    return array.read(tf.argmax(x[:, 0], output_type=tf.int32))


# what is wrong with a program: the op that is named, what the error says of it, and the program
REFUSED = {
    "loops as long as data say": ("StatelessWhile", _until),
    "loops more than 1024 times": ("StatelessWhile", _forever),
    "index depends on data": ("TensorListGetItem", _item),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_only_data_decide_is_refused_with_the_line_and_a_way_out(reason: str) -> None:
    op_type, function = REFUSED[reason]
    signature = Signature("refused", {"x": TensorSpec("float32", (2, 3))}, lambda x: {"y": function(x)})
    with pytest.raises(UnsupportedOpError, match=reason) as caught:
        lower(trace(signature), ())
    assert caught.value.op_type == op_type
    assert caught.value.source.startswith("test_control_flow.py:")
