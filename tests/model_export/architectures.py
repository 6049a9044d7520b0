"""Small models in the style of well-known ones."""

from typing import Any

import keras
from keras import layers

CLASSES = 5


def residual_block() -> Any:
    """He et al., "Deep Residual Learning for Image Recognition" (2016)."""
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding="same", use_bias=False)(image)
    y = layers.ReLU()(layers.BatchNormalization()(x))
    y = layers.Conv2D(8, 3, padding="same", use_bias=False)(y)
    y = layers.BatchNormalization()(y)
    x = layers.ReLU()(layers.Add()([x, y]))
    return keras.Model(image, layers.Dense(CLASSES)(layers.GlobalAveragePooling2D()(x)))


def mobile_block() -> Any:
    """Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (2018)."""
    image = keras.Input((8, 8, 4))
    x = layers.Conv2D(12, 1, use_bias=False)(image)
    x = layers.ReLU(6)(layers.BatchNormalization()(x))
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    x = layers.ReLU(6)(layers.BatchNormalization()(x))
    x = layers.BatchNormalization()(layers.Conv2D(4, 1, use_bias=False)(x))
    x = layers.GlobalAveragePooling2D()(layers.Add()([image, x]))
    return keras.Model(image, layers.Dense(CLASSES)(x))


def keyword_spotting() -> Any:
    """Zhang et al., "Hello Edge: Keyword Spotting on Microcontrollers" (2017), the DS-CNN."""
    spectrum = keras.Input((16, 10, 1))
    x = layers.Conv2D(8, (4, 3), strides=2, padding="same", activation="relu")(spectrum)
    x = layers.SeparableConv2D(8, 3, padding="same", activation="relu")(x)
    x = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(spectrum, layers.Dense(CLASSES)(x))


def transformer(vocabulary: int) -> Any:
    """Vaswani et al., "Attention Is All You Need" (2017): one block of the encoder, with learnt positions."""
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Embedding(vocabulary, 8)(tokens)
    attended = layers.MultiHeadAttention(2, 4, dropout=0.1)(x, x)
    x = layers.LayerNormalization()(layers.Add()([x, attended]))
    wide = layers.Dense(8)(layers.Dense(16, activation="relu")(x))
    x = layers.LayerNormalization()(layers.Add()([x, wide]))
    return keras.Model(tokens, layers.Dense(CLASSES)(layers.GlobalAveragePooling1D()(x)))


def character_lstm(vocabulary: int) -> Any:
    """McMahan et al. (2017), the Shakespeare model: two LSTM layers over characters, made small."""
    tokens = keras.Input((5,), dtype="int32")
    x = layers.LSTM(8, return_sequences=True)(layers.Embedding(vocabulary, 4)(tokens))
    return keras.Model(tokens, layers.Dense(CLASSES)(layers.LSTM(8)(x)))


def autoencoder() -> Any:
    """An image to an image of the same size, through a narrow middle."""
    image = keras.Input((8, 8, 1))
    x = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(image)
    x = layers.Conv2DTranspose(4, 3, strides=2, padding="same", activation="relu")(x)
    return keras.Model(image, layers.Conv2D(1, 3, padding="same", activation="sigmoid")(x))
