"""Data sets that TensorFlow and Keras have or take."""

from typing import Any

import keras
import tensorflow as tf

from wire.tensors import Array


def dataset_of_examples(x: Array, y: Array) -> Any:
    """A `tf.data.Dataset` with an element `(x, y)` for each example."""
    return tf.data.Dataset.from_tensor_slices((x, y))


def kept_cifar10() -> Any:
    """`(x, y), (x, y)` for training and testing, from Keras's cache, where the caller has seen it."""
    return keras.datasets.cifar10.load_data()
