"""The models of these tests: small, and together with every layer, loss and optimizer that is exported."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers

from model_export.losses import Labels, labels_of
from model_export.optimizers import Yogi
from tests.model_export.architectures import (
    CLASSES,
    autoencoder,
    character_lstm,
    keyword_spotting,
    mobile_block,
    residual_block,
    transformer,
)
from wire.tensors import Array

VOCABULARY = 11
losses, optimizers = keras.losses, keras.optimizers
LOGITS = losses.SparseCategoricalCrossentropy(from_logits=True)


def mlp(units: int = CLASSES, activation: str | None = None, **hidden: Any) -> Any:
    return keras.Sequential(
        [
            keras.Input((12,)),
            layers.Dense(16, **({"activation": "relu"} | hidden), name="hidden"),
            layers.Dense(units, activation=activation, name="logits"),
        ],
        name="mlp",
    )


def cnn_max() -> Any:
    return keras.Sequential(
        [
            keras.Input((10, 10, 1)),
            layers.Conv2D(8, 5, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(2, strides=1, padding="same"),
            layers.Flatten(),
            layers.Dense(CLASSES),
        ]
    )


def cnn_avg() -> Any:
    image = keras.Input((9, 9, 2))
    x = layers.Rescaling(0.5)(image)
    x = layers.Conv2D(6, 3)(x)
    x = layers.ReLU(negative_slope=0.1)(x)
    x = layers.AveragePooling2D(3, strides=2, padding="same")(x)
    return keras.Model(image, layers.Dense(CLASSES)(layers.Flatten()(x)))


def cnn_strided() -> Any:
    image = keras.Input((11, 11, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(image)
    x = layers.Conv2D(8, 2, strides=2)(layers.ReLU(max_value=6)(x))
    return keras.Model(image, layers.Dense(CLASSES)(layers.Flatten()(layers.Activation("relu")(x))))


def probabilities() -> Any:
    head = keras.Sequential([keras.Input((8,)), layers.Dense(CLASSES), layers.Softmax()], name="head")
    return keras.Sequential([keras.Input((12,)), layers.Dense(8, activation="relu"), head])


def pixels() -> Any:
    return keras.Sequential(
        [
            keras.Input((6, 6, 1), dtype="uint8"),
            layers.Rescaling(1 / 255),
            layers.Conv2D(4, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(CLASSES, activation="softmax"),
        ]
    )


def around(*middle: Any, shape: tuple[int, ...] = (12,)) -> Any:
    """A model whose middle is given."""
    return keras.Sequential([keras.Input(shape), *middle, layers.Flatten(), layers.Dense(CLASSES)])


def frozen() -> Any:
    return around(
        layers.Conv2D(4, 3, trainable=False),
        layers.BatchNormalization(trainable=False),
        layers.Conv2D(4, 3, activation="relu"),
        shape=(8, 8, 1),
    )


def group_normalised_residual() -> Any:
    """What takes the place of batch normalisation where clients' batches are small and unlike."""
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding="same", use_bias=False)(image)
    y = layers.ReLU()(layers.GroupNormalization(4)(x))
    y = layers.GroupNormalization(2)(layers.Conv2D(8, 3, padding="same", use_bias=False)(y))
    y = layers.GlobalAveragePooling2D()(layers.ReLU()(layers.Add()([x, y])))
    return keras.Model(image, layers.Dense(CLASSES)(y))


def embedding() -> Any:
    tokens = keras.Input((6,), dtype="int32")
    x = layers.GlobalAveragePooling1D()(layers.Embedding(VOCABULARY, 8)(tokens))
    return keras.Model(tokens, layers.Dense(CLASSES)(x))


def sequence_tags() -> Any:
    tokens = keras.Input((6,), dtype="int32")
    return keras.Model(tokens, layers.Dense(CLASSES)(layers.Embedding(VOCABULARY, 8)(tokens)))


def joined() -> Any:
    x = keras.Input((12,))
    a, b = layers.Dense(8, activation="tanh")(x), layers.Dense(8, activation="sigmoid")(x)
    both = layers.Concatenate()([layers.Multiply()([a, b]), layers.Subtract()([a, b]), layers.Reshape((12,))(x)])
    return keras.Model(x, layers.Dense(CLASSES)(layers.Add()([both, layers.Dense(28)(x)])))


def custom_loss(labels: Any, outputs: Any) -> Any:
    return keras.ops.mean(keras.ops.power(keras.ops.abs(labels - outputs) + 0.1, 3), axis=-1)


def largest_error(labels: Any, outputs: Any) -> Any:
    return keras.ops.max(keras.ops.abs(labels - outputs), axis=-1)


@dataclass(frozen=True)
class Entry:
    """A model with the loss that fits its output, an optimizer and metrics."""

    build: Callable[[], Any]
    loss: Any = LOGITS
    optimizer: Callable[[], Any] = lambda: optimizers.SGD(0.05)
    metrics: tuple[Any, ...] = ("accuracy",)

    def model(self) -> Any:
        keras.utils.set_random_seed(7)
        return self.build()

    def batch(self, model: Any, size: int, seed: int) -> tuple[Array, Array]:
        """Random examples and labels for the model."""
        random = np.random.default_rng(seed)
        return _examples(model, size, random), _labels(self.loss, model, size, random)


def _examples(model: Any, size: int, random: np.random.Generator) -> Array:
    shape, dtype = (size, *model.input_shape[1:]), model.inputs[0].dtype
    if dtype == "float32":
        return random.standard_normal(shape).astype(np.float32)
    return random.integers(0, 256 if dtype == "uint8" else VOCABULARY, shape).astype(dtype)


def _labels(loss: Any, model: Any, size: int, random: np.random.Generator) -> Array:
    shape, classes = (size, *model.output_shape[1:]), model.output_shape[-1]
    match labels_of(loss):
        case Labels.CLASSES:
            return random.integers(0, classes, shape[:-1]).astype(np.int32)
        case Labels.ONE_HOT:
            return np.eye(classes, dtype=np.float32)[random.integers(0, classes, shape[:-1])]
        case Labels.BINARY:
            return random.integers(0, 2, shape).astype(np.float32)
        case Labels.UNIT:
            return random.random(shape, np.float32)
        case Labels.REAL:
            return random.standard_normal(shape).astype(np.float32)


def batch_of(model: Any, size: int, seed: int) -> tuple[Array, Array]:
    """Random examples and classes for a model that tells classes apart."""
    random = np.random.default_rng(seed)
    return _examples(model, size, random), random.integers(0, CLASSES, size).astype(np.int32)


# The models that every behaviour is tested with.
BASIC: Mapping[str, Entry] = {
    "mlp": Entry(mlp),
    "cnn_max": Entry(cnn_max),
    "cnn_avg": Entry(cnn_avg),
    "cnn_strided": Entry(cnn_strided),
    "probabilities": Entry(probabilities, losses.SparseCategoricalCrossentropy()),
    "pixels": Entry(pixels, losses.SparseCategoricalCrossentropy()),
}

LAYERS: Mapping[str, Entry] = {
    "layer_normalisation": Entry(lambda: around(layers.LayerNormalization(), layers.Dense(8, "relu"))),
    "group_normalisation": Entry(lambda: around(layers.Dense(8), layers.GroupNormalization(4))),
    "unit_normalisation": Entry(lambda: around(layers.Dense(8), layers.UnitNormalization())),
    "rms_normalisation": Entry(lambda: around(layers.Dense(8), layers.RMSNormalization())),
    "normalisation": Entry(lambda: around(layers.Normalization(mean=0.5, variance=2.0))),
    "batch_normalisation": Entry(lambda: around(layers.Dense(8, "relu"), layers.BatchNormalization())),
    "batch_normalised_cnn": Entry(
        lambda: around(layers.Conv2D(4, 3), layers.BatchNormalization(momentum=0.9), layers.ReLU(), shape=(6, 6, 2))
    ),
    "group_normalised_cnn": Entry(
        lambda: around(layers.Conv2D(8, 3), layers.GroupNormalization(4), layers.ReLU(), shape=(6, 6, 2))
    ),
    "group_normalised_residual": Entry(group_normalised_residual),
    "instance_normalised_cnn": Entry(
        lambda: around(layers.Conv2D(6, 3, activation="relu"), layers.GroupNormalization(-1), shape=(6, 6, 2))
    ),
    "layer_normalised_cnn": Entry(
        lambda: around(
            *(layers.Conv2D(6, 3), layers.LayerNormalization(), layers.ReLU()),
            *(layers.Conv2D(4, 2), layers.LayerNormalization(axis=[1, 2, 3])),
            shape=(6, 6, 2),
        )
    ),
    "unit_normalised_cnn": Entry(
        lambda: around(layers.Conv2D(6, 3, activation="tanh"), layers.UnitNormalization(), shape=(6, 6, 2))
    ),
    "rms_normalised_cnn": Entry(
        lambda: around(layers.Conv2D(6, 3), layers.RMSNormalization(), layers.ReLU(), shape=(6, 6, 2))
    ),
    "activations": Entry(
        lambda: around(
            layers.Dense(8, "elu"), layers.Dense(8, "softplus"), layers.Dense(8, "gelu"), layers.Dense(8, "silu")
        )
    ),
    "embedding": Entry(embedding),
    "sequence_tags": Entry(sequence_tags),
    "joined": Entry(joined),
    "frozen": Entry(frozen),
    "conv1d": Entry(lambda: around(layers.Conv1D(6, 3, activation="relu"), layers.GlobalMaxPooling1D(), shape=(10, 2))),
    "dropout": Entry(lambda: around(layers.Dense(16, "relu"), layers.Dropout(0.4))),
    "spatial_dropout": Entry(lambda: around(layers.Conv2D(8, 3), layers.SpatialDropout2D(0.3), shape=(6, 6, 1))),
    "noise": Entry(lambda: around(layers.GaussianNoise(0.3), layers.Dense(8), layers.GaussianDropout(0.2))),
    "residual_block": Entry(residual_block),
    "mobile_block": Entry(mobile_block),
    "keyword_spotting": Entry(keyword_spotting),
    "transformer": Entry(lambda: transformer(VOCABULARY)),
    "character_lstm": Entry(lambda: character_lstm(VOCABULARY)),
    "autoencoder": Entry(autoencoder, losses.MeanSquaredError(), metrics=("mae",)),
}

LOSSES: Mapping[str, Entry] = {
    "categorical": Entry(mlp, losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)),
    "categorical_probabilities": Entry(
        probabilities,
        losses.CategoricalCrossentropy(),
        metrics=("accuracy", keras.metrics.TopKCategoricalAccuracy(2, name="top_2")),
    ),
    "binary": Entry(lambda: mlp(1), losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.1)),
    "binary_probabilities": Entry(lambda: mlp(3, "sigmoid"), losses.BinaryCrossentropy(), metrics=("binary_accuracy",)),
    "mse": Entry(lambda: mlp(3), losses.MeanSquaredError(), metrics=("mae", "mse")),
    "mae": Entry(lambda: mlp(1), losses.MeanAbsoluteError(), metrics=("mse",)),
    "huber": Entry(lambda: mlp(3), losses.Huber(0.7), metrics=("mae",)),
    "log_cosh": Entry(lambda: mlp(3), losses.LogCosh(), metrics=()),
    "cosine": Entry(lambda: mlp(3), losses.CosineSimilarity(), metrics=()),
    "hinge": Entry(lambda: mlp(1), losses.Hinge(), metrics=()),
    "squared_hinge": Entry(lambda: mlp(1, "tanh"), losses.SquaredHinge(), metrics=()),
    "kl": Entry(probabilities, losses.KLDivergence(), metrics=()),
    "poisson": Entry(lambda: mlp(2, "softplus"), losses.Poisson(), metrics=()),
    "custom": Entry(lambda: mlp(3), custom_loss, metrics=(largest_error,)),
    "top_k": Entry(mlp, metrics=("accuracy", keras.metrics.SparseTopKCategoricalAccuracy(2, name="top_2"))),
    "regularised": Entry(lambda: mlp(kernel_regularizer=keras.regularizers.L1L2(0.01, 0.02), bias_regularizer="l2")),
}

OPTIMIZERS: Mapping[str, Entry] = {
    "momentum": Entry(mlp, optimizer=lambda: optimizers.SGD(0.05, momentum=0.9)),
    "nesterov": Entry(mlp, optimizer=lambda: optimizers.SGD(0.05, momentum=0.9, nesterov=True, clipnorm=0.3)),
    "clipvalue": Entry(mlp, optimizer=lambda: optimizers.SGD(0.05, clipvalue=0.05)),
    "global_clipnorm": Entry(mlp, optimizer=lambda: optimizers.SGD(0.05, global_clipnorm=0.5, weight_decay=0.01)),
    "adam": Entry(mlp, optimizer=lambda: optimizers.Adam(0.002)),
    "amsgrad": Entry(mlp, optimizer=lambda: optimizers.Adam(0.002, amsgrad=True)),
    "adamw": Entry(mlp, optimizer=lambda: optimizers.AdamW(0.002, weight_decay=0.1)),
    "adagrad": Entry(mlp, optimizer=lambda: optimizers.Adagrad(0.02)),
    "rmsprop": Entry(mlp, optimizer=lambda: optimizers.RMSprop(0.002)),
    "rmsprop_centered": Entry(mlp, optimizer=lambda: optimizers.RMSprop(0.002, momentum=0.5, centered=True)),
    "yogi": Entry(mlp, optimizer=lambda: Yogi(0.01)),
    "nadam": Entry(mlp, optimizer=lambda: optimizers.Nadam(0.002)),
    "adam_cnn_dropout": Entry(
        lambda: around(layers.Conv2D(4, 3, activation="relu"), layers.Dropout(0.3), shape=(6, 6, 1)),
        optimizer=lambda: optimizers.Adam(0.002),
    ),
}

ZOO: Mapping[str, Entry] = {**BASIC, **LAYERS, **LOSSES, **OPTIMIZERS}
