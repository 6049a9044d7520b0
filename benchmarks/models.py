"""The models of the benchmark, in Keras and in PyTorch: those of the federated averaging paper.

McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data" (2017): the MLP "2NN" with
one hidden layer, and the CNN with two convolutions of 5x5; the third is TensorFlow Federated's CNN for EMNIST.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

BATCH_SIZE = 20
LEARNING_RATE = 0.05


@dataclass(frozen=True)
class Case:
    """A model: the shape of one example, and how each library builds it."""

    shape: tuple[int, ...]
    classes: int
    keras: Callable[[], Any]
    torch: Callable[[], Any]


def _mlp() -> Any:
    from keras import Input, Sequential, layers

    return Sequential([Input((784,)), layers.Dense(200, activation="relu"), layers.Dense(10)])


def _mlp_torch() -> Any:
    from torch import nn

    return nn.Sequential(nn.Linear(784, 200), nn.ReLU(), nn.Linear(200, 10))


def _cnn() -> Any:
    """1,690,046 parameters."""
    from keras import Input, Sequential, layers

    convolutions = [
        layer
        for filters in (32, 64)
        for layer in (layers.Conv2D(filters, 5, padding="same", activation="relu"), layers.MaxPooling2D(2))
    ]
    head = [layers.Flatten(), layers.Dense(512, activation="relu"), layers.Dense(62)]
    return Sequential([Input((28, 28, 1)), *convolutions, *head])


def _cnn_torch() -> Any:
    from torch import nn

    first = [nn.Conv2d(1, 32, 5, padding="same"), nn.ReLU(), nn.MaxPool2d(2)]
    second = [nn.Conv2d(32, 64, 5, padding="same"), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(3136, 512), nn.ReLU(), nn.Linear(512, 62))


def _emnist() -> Any:
    """1,206,590 parameters."""
    from keras import Input, Sequential, layers

    body = [layers.Conv2D(32, 3, activation="relu"), layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D(2)]
    head = [layers.Flatten(), layers.Dense(128, activation="relu"), layers.Dropout(0.5), layers.Dense(62)]
    return Sequential([Input((28, 28, 1)), *body, layers.Dropout(0.25), *head])


def _emnist_torch() -> Any:
    from torch import nn

    body = [nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25)]
    return nn.Sequential(*body, nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 62))


CASES: Mapping[str, Case] = {
    "mlp_784_200_10": Case((784,), 10, _mlp, _mlp_torch),
    "cnn_5x5_1690k": Case((28, 28, 1), 62, _cnn, _cnn_torch),
    "cnn_3x3_dropout_1207k": Case((28, 28, 1), 62, _emnist, _emnist_torch),
}
