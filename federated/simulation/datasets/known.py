"""MNIST, EMNIST and CIFAR-10 from files that are already on this machine; nothing is downloaded.

Pixels come as float32 in [0, 1]. Without a path the caches of `keras.datasets` are looked into.
"""

import os
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from federated.simulation.datasets.client_data import Examples
from federated.simulation.errors import DataError
from wire.tensors import Array

_CIFAR_BYTES = 1 + 3 * 32 * 32


def load_mnist(path: str | Path | None = None) -> tuple[Examples, Examples]:
    """MNIST for training and for testing, `x` float32[n,28,28].

    Args:
        path: a `.npz` file with `x_train`, `y_train`, `x_test`, `y_test`; None for `mnist.npz` of Keras's cache.

    Raises:
        DataError: the file is not there.
    """
    return _image_file(path, "mnist.npz")


def load_emnist(path: str | Path | None = None) -> tuple[Examples, Examples]:
    """EMNIST, or any data set in a file as `load_mnist` takes; None for `emnist.npz` of Keras's cache."""
    return _image_file(path, "emnist.npz")


def load_cifar10(path: str | Path | None = None) -> tuple[Examples, Examples]:
    """CIFAR-10 for training and for testing, `x` float32[n,32,32,3].

    Args:
        path: a `.npz` file as `load_mnist` takes, or the folder of the data set's binary version; None for what
            `keras.datasets.cifar10` has kept, which needs Keras.

    Raises:
        DataError: it is not there.
    """
    if path is None:
        kept = next(_cache().glob("cifar-10-batches-py*/**/data_batch_1"), None)
        if kept is None:
            raise _missing(_cache() / "cifar-10-batches-py")
        from federated.backends.client_datasets import kept_cifar10

        train, test = kept_cifar10()
        return _scaled(*train), _scaled(*test)
    if not Path(path).is_dir():
        return _image_file(path, "")
    names = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
    parts = [_binary_part(Path(path) / name) for name in names]
    images, labels = zip(*parts, strict=True)
    train = np.concatenate(images[:-1]), np.concatenate(labels[:-1])
    return _scaled(*train), _scaled(images[-1], labels[-1])


def _binary_part(file: Path) -> tuple[Array, Array]:
    """An example is a byte for the label and 3072 for the image, channel by channel."""
    if not file.is_file():
        raise _missing(file)
    rows = np.fromfile(file, np.uint8)
    if rows.size % _CIFAR_BYTES:
        raise DataError(f"{file} has {rows.size} bytes, no multiple of {_CIFAR_BYTES}")
    rows = rows.reshape(-1, _CIFAR_BYTES)
    return rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), rows[:, 0]


def _image_file(path: str | Path | None, name: str) -> tuple[Examples, Examples]:
    file = _cache() / name if path is None else Path(path)
    if not file.is_file():
        raise _missing(file)
    try:
        with file.open("rb") as stored, np.load(stored, allow_pickle=False) as arrays:
            train, test = ((arrays[f"x_{part}"], arrays[f"y_{part}"]) for part in ("train", "test"))
            return _scaled(*train), _scaled(*test)
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise DataError(f"{file} has not the arrays x_train, y_train, x_test and y_test: {error}") from error


def _scaled(x: Array, y: Array) -> Examples:
    return Examples(x.astype(np.float32) / np.float32(255), np.asarray(y, np.int32).reshape(-1))


def _cache() -> Path:
    return Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "datasets"


def _missing(path: Path) -> DataError:
    return DataError(f"there is no {path}", fix="say where the file is, path=…; nothing is downloaded here")
