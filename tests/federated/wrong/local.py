"""Wrong local computations, and TensorFlow where it has no place."""

from collections.abc import Callable
from typing import Any

import numpy as np

import federated as fed
from tests.federated.wrong.catalogue import Catalogue, entry

LOCAL: Catalogue = {}

FLOATS = fed.FederatedType(np.float32, fed.CLIENTS)


def wrong(title: str) -> Callable[[Callable[[], object]], Callable[[], object]]:
    return entry(LOCAL, title)


@wrong("TensorFlow on federated values")
def _() -> None:
    import tensorflow as tf

    @fed.federated_computation(FLOATS)
    def converted(readings: Any) -> Any:
        return tf.subtract(readings, 32.0)


@wrong("A tensor in a federated computation")
def _() -> None:
    import tensorflow as tf

    @fed.federated_computation
    def constant() -> Any:
        return fed.federated_value(tf.constant(1.0), fed.SERVER)


@wrong("A federated type for a local computation")
def _() -> None:
    @fed.tf_computation(FLOATS)
    def converted(readings: Any) -> Any:
        return readings - 32


@wrong("A federated computation called in a local one")
def _() -> None:
    average = fed.federated_computation(fed.federated_mean, FLOATS)

    @fed.tf_computation(np.float32)
    def converted(reading: Any) -> Any:
        return average([reading])


@wrong("A federated operator in a local computation")
def _() -> None:
    @fed.tf_computation(np.float32)
    def total(reading: Any) -> Any:
        return fed.federated_sum(reading)


@wrong("A local computation that gives nothing")
def _() -> None:
    import tensorflow as tf

    @fed.tf_computation(np.float32)
    def converted(reading: Any) -> None:
        tf.subtract(reading, 32.0)


@wrong("A local computation that gives something else than tensors")
def _() -> None:
    @fed.tf_computation(np.float32)
    def text(reading: Any) -> Any:
        return lambda: reading


@wrong("A variable that all clients would share")
def _() -> None:
    import tensorflow as tf

    count = tf.Variable(0.0, name="count")

    @fed.tf_computation(np.float32)
    def counted(reading: Any) -> Any:
        return count.assign_add(reading)


@wrong("A local computation that fails")
def _() -> None:
    import tensorflow as tf

    @fed.tf_computation(np.float32)
    def checked(reading: Any) -> Any:
        with tf.control_dependencies([tf.debugging.assert_positive(reading, "a reading is positive")]):
            return tf.identity(reading)

    @fed.federated_computation(FLOATS)
    def all_checked(readings: Any) -> Any:
        return fed.federated_map(checked, readings)

    all_checked([1.0, -1.0])


@wrong("A local computation that calls back into Python, written down")
def _() -> None:
    import tensorflow as tf

    @fed.tf_computation(np.float32)
    def called_back(reading: Any) -> Any:
        return tf.ensure_shape(tf.py_function(abs, [reading], tf.float32), [])

    fed.serialize_computation(called_back)


@wrong("A local computation with a table from outside, written down")
def _() -> None:
    import tensorflow as tf

    table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(["hot"], [1]), 0)

    @fed.tf_computation(np.str_)
    def looked_up(word: Any) -> Any:
        return table.lookup(word)

    fed.serialize_computation(looked_up)


@wrong("A loaded computation that reaches out")
def _() -> None:
    import tensorflow as tf

    @fed.tf_computation(np.str_)
    def secrets(path: Any) -> Any:
        return tf.io.read_file(path)

    fed.deserialize_computation(fed.serialize_computation(secrets))
