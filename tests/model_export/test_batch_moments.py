"""Batch normalisation of a padded batch is Keras's of the batch without its padding."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import model_export
from model_export.batch_moments import masked_moments
from model_export.errors import UnsupportedModelError
from plans.program import Program
from tests.model_export.zoo import LOGITS, around, batch_of

pytestmark = pytest.mark.tensorflow

BATCH = 5
SHAPES = [(7,), (6, 3), (4, 5, 3)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("count", [1, 3, BATCH])
def test_outputs_and_moving_averages_are_those_of_the_real_examples(shape: tuple[int, ...], count: int) -> None:
    random = np.random.default_rng(count)
    x = (3 + 2 * random.standard_normal((BATCH, *shape))).astype(np.float32)
    padded, plain = layers.BatchNormalization(momentum=0.7), layers.BatchNormalization(momentum=0.7)
    weight = tf.constant(np.arange(BATCH) < count, tf.float32)
    expected = plain(x[:count], training=True)
    with masked_moments(weight):
        found = padded(x, training=True)
    np.testing.assert_allclose(found[:count], expected, rtol=0, atol=2e-6)
    for one, other in zip(padded.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)


def test_keras_is_itself_again_afterwards() -> None:
    before = layers.BatchNormalization._moments
    with pytest.raises(ValueError, match="inside"), masked_moments(tf.ones([3])):
        raise ValueError("inside")
    assert layers.BatchNormalization._moments is before


def test_weights_that_are_not_of_examples_are_refused() -> None:
    mixed = [layers.Reshape((4, 3)), layers.Lambda(lambda x: tf.reshape(x, [-1, 3])), layers.BatchNormalization()]
    model = around(*mixed, layers.Lambda(lambda x: tf.reshape(x, [-1, 12])))
    with pytest.raises(UnsupportedModelError, match="something else than a batch of examples"):
        model_export.export_model(model, loss=LOGITS, optimizer="sgd", batch_size=BATCH)


def _shared() -> Any:
    """One normalisation that two branches use, in the middle of a functional model."""
    x = keras.Input((12,))
    shared = layers.BatchNormalization(momentum=0.8)
    both = layers.Add()([shared(layers.Dense(8)(x)), shared(layers.Dense(8, activation="tanh")(x))])
    return keras.Model(x, layers.Dense(5)(both))


def test_a_normalisation_that_is_called_twice_moves_twice() -> None:
    keras.utils.set_random_seed(5)
    model = _shared()
    model.compile(keras.optimizers.SGD(0.05), LOGITS)
    exported = model_export.export_model(model, batch_size=BATCH)
    program = Program(exported.tflite)
    x, y = batch_of(model, BATCH, 1)
    program.call("train", x=x, y=y, weight=(np.arange(BATCH) < 3).astype(np.float32))
    model.train_on_batch(x[:3], y[:3])
    saved = program.call("save", flag=np.ones([1], np.float32))
    values = {variable.path: variable.numpy() for variable in model.variables}
    for name in (*exported.parameters, *exported.statistics):
        np.testing.assert_allclose(saved[name], values[exported.paths[name]], rtol=0, atol=1e-6, err_msg=name)
