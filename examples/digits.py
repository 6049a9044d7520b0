"""Makes what the README's quick start needs: an untrained Keras model and four people's handwritten digits.

python examples/digits.py FOLDER    writes digits.keras and shard-1.npz … shard-4.npz
"""

import sys
from pathlib import Path

import keras
import numpy as np
from sklearn.datasets import load_digits

PEOPLE = 4


def small_network() -> keras.Model:
    """A convolutional network for images of float32[8,8,1] and ten digits."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(16, 3, activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Flatten(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss="sparse_categorical_crossentropy")
    return model


def main(folder: Path) -> None:
    """Write the model and the shards."""
    folder.mkdir(parents=True, exist_ok=True)
    small_network().save(folder / "digits.keras")
    digits = load_digits()
    x = (digits.images / 16.0).astype(np.float32)[..., None]  # [1797, 8, 8, 1]
    y = digits.target.astype(np.int32)
    owner = np.random.default_rng(0).integers(PEOPLE, size=len(y))
    for person in range(PEOPLE):
        np.savez(folder / f"shard-{person + 1}.npz", x=x[owner == person], y=y[owner == person])


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
