"""Keras models whose layers have variables that training does not move: generators of cells, and frozen weights."""

from typing import Any

import numpy as np
import pytest

import federated as fed
from model_export.errors import UnsupportedModelError
from wire.tensors import Array

pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(300)]

X = np.random.default_rng(1).integers(5, size=(6, 4)).astype(np.int32)
CLIENTS = [[(X[:4], X[:4] % 3), (X[4:], X[4:] % 3)], [(X[2:], X[2:] % 3)]]


def recurrent() -> Any:
    import keras

    layers = keras.layers
    keras.utils.set_random_seed(2)
    embedding = layers.Embedding(5, 3, trainable=False)
    cells = [layers.GRU(4, return_sequences=True), layers.Bidirectional(layers.LSTM(2, return_sequences=True))]
    return keras.Sequential([keras.Input((4,), dtype="int32"), embedding, *cells, layers.Dense(3)])


def trained(network: Any) -> list[Array]:
    """The trainable weights after a round."""
    import keras

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = fed.learning.models.functional_model_from_keras(network, loss, metrics=["accuracy"])
    process = fed.learning.algorithms.build_weighted_fed_avg(model, fed.learning.optimizers.build_sgdm(0.5))
    state, _ = process.next(process.initialize(), CLIENTS)
    return [np.asarray(value) for value in process.get_model_weights(state).trainable]


def test_recurrent_layers_behind_a_frozen_one_train_alike_in_both_contexts() -> None:
    network = recurrent()
    before = [np.asarray(variable) for variable in network.trainable_variables]
    with fed.local_context():
        plain = trained(network)
    with fed.plan_context(threads=1):
        planned = trained(network)
    assert len(plain) == len(before) == 3 + 6 + 2
    for found, expected, first in zip(planned, plain, before, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)
        assert not np.array_equal(found, first)


def test_a_recurrent_layer_with_dropout_is_refused() -> None:
    import keras

    layers = [keras.Input((4, 2)), keras.layers.GRU(2, recurrent_dropout=0.5)]
    with pytest.raises(UnsupportedModelError, match="draws random numbers"):
        fed.learning.models.functional_model_from_keras(keras.Sequential(layers), "mse")
