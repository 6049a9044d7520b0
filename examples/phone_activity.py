"""What people are doing, learned from the motion of their phones, by federated averaging, five people a round.

    python examples/phone_activity.py WINDOWS.npz [--rounds 100] [--seed 1] [--plot CURVE.png]

WINDOWS.npz holds `features` (float32[n,78]: what accelerometer and gyroscope measured in a few seconds, as means,
deviations, energies and the like), `y` (0 to 5: walking, upstairs, downstairs, sitting, standing, laying) and `subject`
(whose phone it was: the client). The features are brought to one scale by the mean and the deviation over everybody
who trains, which are federated sums themselves. Accuracy is that on the windows of four people who had no part in it.
"""

import argparse
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

import federated as fed

FEATURES, ACTIVITIES = 78, 6
SET_ASIDE = ["4", "9", "13", "24"]

Row = fed.TensorType(np.float32, [FEATURES])


@fed.tf_computation(fed.SequenceType(Row))
def moments_of(windows: tf.data.Dataset) -> Any:
    """How many windows a person has, the sum of their features, and that of the squares."""

    def add(moments: Any, row: tf.Tensor) -> Any:
        return OrderedDict(
            count=moments["count"] + 1.0, total=moments["total"] + row, squares=moments["squares"] + row * row
        )

    return windows.reduce(OrderedDict(count=0.0, total=tf.zeros(FEATURES), squares=tf.zeros(FEATURES)), add)


@fed.federated_computation(fed.FederatedType(fed.SequenceType(Row), fed.CLIENTS))
def moments_of_everybody(windows: fed.Value) -> fed.Value:
    """`({float32[78]*}@CLIENTS -> <count=float32,total=float32[78],squares=float32[78]>@SERVER)`."""
    return fed.federated_sum(fed.federated_map(moments_of, windows))


def volunteers(path: Path) -> tuple[Any, Any]:
    """The people who train, and those who are set aside, their features on one scale."""
    data = fed.simulation.datasets.from_npz(path, x="features", client="subject")
    training = data.select([name for name in data.client_ids if name not in SET_ASIDE])
    moments = moments_of_everybody([data.examples(name).x for name in training.client_ids])
    mean = moments["total"] / moments["count"]
    deviation = np.sqrt(moments["squares"] / moments["count"] - mean**2)
    scaled = data.preprocess(lambda x, y: ((x - mean) / deviation, y.astype(np.int32)))
    return scaled.select(training.client_ids), scaled.select(SET_ASIDE)


def network() -> Any:
    """One hidden layer: 5,446 parameters."""
    import keras

    keras.utils.set_random_seed(1)
    layers = keras.layers
    return keras.Sequential([keras.Input((FEATURES,)), layers.Dense(64, activation="relu"), layers.Dense(ACTIVITIES)])


def main(arguments: Sequence[str] | None = None) -> Mapping[str, Any]:
    """Train on phones, and, to compare, where all windows are in one place; print and draw the accuracy of both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="WINDOWS.npz")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plot", type=Path, metavar="CURVE.png", help="draw the accuracy by round; needs matplotlib")
    options = parser.parse_args(arguments)
    if not options.data.is_file():
        parser.error(f"there is no {options.data}; --help says what it holds")

    import keras

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = fed.learning.models.functional_model_from_keras(network(), loss, metrics=["accuracy"])
    process = fed.learning.algorithms.build_weighted_fed_avg_with_optimizer_schedule(model, lambda t: 0.05 * 0.98**t)
    with fed.plan_context():
        people, strangers = volunteers(options.data)
        runs = {
            name: fed.simulation.train(
                process,
                data,
                rounds=options.rounds,
                clients_per_round=5,
                batch_size=20,
                seed=options.seed,
                evaluate=fed.simulation.build_evaluation_fn(process, model, strangers),
                evaluate_every=10,
            )
            for name, data in {"federated": people, "in one place": fed.simulation.datasets.pooled(people)}.items()
        }
    found = {name: run.column("evaluation/accuracy") for name, run in runs.items()}
    for number, accuracy in found["federated"].items():
        print(f"round {number:3}: test accuracy {accuracy:.3f}; in one place {found['in one place'][number]:.3f}")
    if options.plot:
        fed.simulation.plot_runs(options.plot, runs, "evaluation/accuracy")
    return runs


if __name__ == "__main__":
    main()
