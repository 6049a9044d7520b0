"""The demo's model, written as a `.keras` file: python -m federated.backends.digits_model OUT HEIGHT WIDTH CLASSES."""

import os
import sys
from pathlib import Path


def save_digits_model(path: Path, height: int, width: int, classes: int) -> None:
    """Write an untrained convolutional network for `float32[height,width,1]` images with values in [0, 1]."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras

    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((height, width, 1)),
            keras.layers.Conv2D(16, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Flatten(),
            keras.layers.Dense(classes, activation="softmax"),
        ]
    )
    model.save(path)


if __name__ == "__main__":
    save_digits_model(Path(sys.argv[1]), *map(int, sys.argv[2:5]))
