"""Digits, learned from the people who wrote them, by federated averaging, ten writers a round.

    python examples/mnist_by_writer.py DATA.npz [--rounds 200] [--seed 0] [--out DIRECTORY] [--plot CURVE.png]
    python examples/mnist_by_writer.py DATA.npz --model cnn --server-momentum 0.9 --decay 0.985

DATA.npz holds `x_train` (images), `y_train` (digits), `writer_train` (who wrote each: the client), `x_test` and
`y_test`. Accuracy is that on the test images, none of whose writers is among the clients.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import federated as fed

PIXELS, CLASSES = 28 * 28, 10


def writers(path: Path) -> tuple[Any, np.ndarray, np.ndarray]:
    """The clients, and the test images with their digits."""
    with np.load(path) as arrays:
        x, y, writer = arrays["x_train"], arrays["y_train"], arrays["writer_train"]
        test = pixels(arrays["x_test"]), arrays["y_test"].astype(np.int32)
    data = fed.simulation.datasets.from_arrays(x, y, writer)
    return data.preprocess(lambda x, y: (pixels(x), y.astype(np.int32))), *test


def pixels(images: np.ndarray) -> np.ndarray:
    """Images as rows of float32 in [0, 1]."""
    return images.reshape(len(images), PIXELS).astype(np.float32) / 255


def softmax_regression() -> Any:
    """softmax(x w + b), which starts at zero."""
    import keras

    layer = keras.layers.Dense(CLASSES, kernel_initializer="zeros")
    return keras.Sequential([keras.Input((PIXELS,)), layer])


def convolutional_network() -> Any:
    """Two convolutions and one dense layer: 18,378 parameters."""
    import keras

    layers = keras.layers
    keras.utils.set_random_seed(1)
    convolutions = [
        layer
        for filters in (16, 32)
        for layer in (layers.Conv2D(filters, 5, activation="relu"), layers.MaxPooling2D(2))
    ]
    head = [layers.Flatten(), layers.Dense(CLASSES)]
    return keras.Sequential([keras.Input((PIXELS,)), layers.Reshape((28, 28, 1)), *convolutions, *head])


NETWORKS = {"softmax": softmax_regression, "cnn": convolutional_network}


def accuracy_on(x: np.ndarray, y: np.ndarray, network: Any, process: Any) -> Callable[[Any], dict[str, float]]:
    """The share of digits that a state's model gets right."""

    def evaluate(state: Any) -> dict[str, float]:
        for variable, value in zip(
            network.trainable_variables, process.get_model_weights(state).trainable, strict=True
        ):
            variable.assign(value)
        return {"accuracy": float(np.mean(np.asarray(network.predict(x, 1000, verbose=0)).argmax(1) == y))}

    return evaluate


def main(arguments: Sequence[str] | None = None) -> Any:
    """Train, and print the accuracy after every tenth round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA.npz")
    parser.add_argument("--model", choices=NETWORKS, default="softmax")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=1, help="how often a writer goes through the digits in a round")
    parser.add_argument("--decay", type=float, default=1.0, help="the clients' rate is 0.1 times this to the round")
    parser.add_argument("--server-momentum", type=float, default=0.0, help="of the mean of what clients changed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a folder for the checkpoint and the table of the rounds")
    parser.add_argument("--plot", type=Path, metavar="CURVE.png", help="draw the accuracy by round; needs matplotlib")
    options = parser.parse_args(arguments)
    if not options.data.is_file():
        parser.error(f"there is no {options.data}; --help says what it holds")

    import keras

    data, x, y = writers(options.data)
    network = NETWORKS[options.model]()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = fed.learning.models.functional_model_from_keras(network, loss)
    process = fed.learning.algorithms.build_weighted_fed_avg_with_optimizer_schedule(
        model,
        lambda round_number: 0.1 * options.decay**round_number,
        server_optimizer_fn=fed.learning.optimizers.build_sgdm(1.0, momentum=options.server_momentum),
    )
    result = fed.simulation.train(
        process,
        data,
        rounds=options.rounds,
        clients_per_round=10,
        batch_size=20,
        epochs=options.epochs,
        seed=options.seed,
        evaluate_every=10,
        evaluate=accuracy_on(x, y, network, process),
        directory=options.out,
    )
    for number, accuracy in result.column("evaluation/accuracy").items():
        print(f"round {number:3}: test accuracy {accuracy:.3f}")
    if options.plot:
        fed.simulation.plot_runs(options.plot, {options.model: result}, "evaluation/accuracy")
    return result


if __name__ == "__main__":
    main()
