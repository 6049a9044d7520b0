"""Spoken digits, learned from the people who spoke them, by federated averaging, everybody in every round.

    python examples/spoken_digits.py DIGITS.npz [--rounds 100] [--seed 1] [--plot CURVE.png]

DIGITS.npz holds `logmel` (float16[n,50,24]: for each recording 50 frames of 24 logarithmic mel energies), `y` (the
digit), `speaker` (who said it: the client) and `take` (the how manieth time). Four people are few, as where the clients
are hospitals rather than phones, so all of them take part in every round. Accuracy is that on everybody's first five
takes of each digit, which are kept from training.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import federated as fed

FRAMES, BANDS, DIGITS = 50, 24, 10
TAKES_FOR_TEST = 5


def speakers(path: Path) -> tuple[Any, Any]:
    """The same speakers twice: the recordings to train on, and those that are kept from training."""
    with np.load(path) as arrays:
        y, speaker, is_test = arrays["y"].astype(np.int32), arrays["speaker"], arrays["take"] < TAKES_FOR_TEST
        x = (arrays["logmel"].astype(np.float32) + 8) / 6  # energies lie around -8, most of them within 6
    from_arrays = fed.simulation.datasets.from_arrays
    return from_arrays(x[~is_test], y[~is_test], speaker[~is_test]), from_arrays(
        x[is_test], y[is_test], speaker[is_test]
    )


def network() -> Any:
    """One hidden layer over all frames: 155,018 parameters."""
    import keras

    keras.utils.set_random_seed(1)
    layers = keras.layers
    hidden = layers.Dense(128, activation="relu")
    return keras.Sequential([keras.Input((FRAMES, BANDS)), layers.Flatten(), hidden, layers.Dense(DIGITS)])


def main(arguments: Sequence[str] | None = None) -> Mapping[str, Any]:
    """Train on the speakers, and, to compare, where all recordings are in one place; print and draw the accuracy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DIGITS.npz")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plot", type=Path, metavar="CURVE.png", help="draw the accuracy by round; needs matplotlib")
    options = parser.parse_args(arguments)
    if not options.data.is_file():
        parser.error(f"there is no {options.data}; --help says what it holds")

    import keras

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = fed.learning.models.functional_model_from_keras(network(), loss, metrics=["accuracy"])
    process = fed.learning.algorithms.build_weighted_fed_avg_with_optimizer_schedule(model, lambda t: 0.1 * 0.98**t)
    training, kept = speakers(options.data)
    with fed.plan_context():
        runs = {
            name: fed.simulation.train(
                process,
                data,
                rounds=options.rounds,
                clients_per_round=4,
                batch_size=20,
                seed=options.seed,
                evaluate=fed.simulation.build_evaluation_fn(process, model, kept),
                evaluate_every=10,
            )
            for name, data in {"federated": training, "in one place": fed.simulation.datasets.pooled(training)}.items()
        }
    found = {name: run.column("evaluation/accuracy") for name, run in runs.items()}
    for number, accuracy in found["federated"].items():
        print(f"round {number:3}: test accuracy {accuracy:.3f}; in one place {found['in one place'][number]:.3f}")
    if options.plot:
        fed.simulation.plot_runs(options.plot, runs, "evaluation/accuracy")
    return runs


if __name__ == "__main__":
    main()
