"""The models of these tests: small, and together with every layer that this version exports."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers

from wire.tensors import Array

CLASSES = 5


def mlp() -> Any:
    return keras.Sequential(
        [keras.Input((12,)), layers.Dense(16, activation="relu", name="hidden"), layers.Dense(CLASSES, name="logits")],
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


@dataclass(frozen=True)
class Entry:
    """A model with the loss that fits its output."""

    build: Callable[[], Any]
    from_logits: bool = True

    def model(self) -> Any:
        keras.utils.set_random_seed(7)
        return self.build()

    @property
    def loss(self) -> Any:
        return keras.losses.SparseCategoricalCrossentropy(from_logits=self.from_logits)


ZOO: Mapping[str, Entry] = {
    "mlp": Entry(mlp),
    "cnn_max": Entry(cnn_max),
    "cnn_avg": Entry(cnn_avg),
    "cnn_strided": Entry(cnn_strided),
    "probabilities": Entry(probabilities, from_logits=False),
    "pixels": Entry(pixels, from_logits=False),
}


def batch_of(model: Any, size: int, seed: int) -> tuple[Array, Array]:
    """Random examples and labels for a model."""
    random = np.random.default_rng(seed)
    shape = (size, *model.input_shape[1:])
    if model.inputs[0].dtype == "uint8":
        x: Array = random.integers(0, 256, shape, np.uint8)
    else:
        x = random.standard_normal(shape).astype(np.float32)
    return x, random.integers(0, CLASSES, size).astype(np.int32)
