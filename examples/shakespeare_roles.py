"""The next character of a speech, learned from Shakespeare's roles, by federated averaging, ten roles a round.

    python examples/shakespeare_roles.py ROLES.jsonl.gz [--rounds 100] [--seed 1] [--plot CURVE.png]

ROLES.jsonl.gz holds a JSON object a line: `client` (a role of a play) and `speeches` (a list of what it says). A role's
speeches are cut into runs of 40 characters, and the model says after each character which one follows. Of every role
that speaks enough, the last fifth of its runs is kept from training; accuracy is that on those.
"""

import argparse
import gzip
import json
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import federated as fed

CHARACTERS = string.ascii_letters + " \n.,:;!?'-&[]"
LENGTH = 40  # characters in a run
LEAST_RUNS, RUNS_A_ROUND = 50, 50  # a role has at least so many, and trains on at most so many in a round
CODES = np.zeros(128, np.int32)  # 0 for characters that are none of these
CODES[list(CHARACTERS.encode())] = np.arange(1, len(CHARACTERS) + 1)


def roles(path: Path) -> tuple[Any, Any]:
    """The same roles twice: what they say first, to train on, and what they say last."""
    with gzip.open(path, "rt", encoding="ascii") as lines:
        spoken = {role["client"]: "\n".join(role["speeches"]) for role in map(json.loads, lines)}
    runs = {name: cut(text) for name, text in spoken.items() if len(text) > LEAST_RUNS * LENGTH}
    first = fed.simulation.datasets.from_function(list(runs), lambda name: pair(runs[name][: -(len(runs[name]) // 5)]))
    last = fed.simulation.datasets.from_function(list(runs), lambda name: pair(runs[name][-(len(runs[name]) // 5) :]))
    return first, last


def cut(text: str) -> np.ndarray:
    """Runs of characters, int32[n,41]; each begins with the last character of the one before."""
    codes = CODES[np.frombuffer(text.encode(), np.uint8)]
    return np.lib.stride_tricks.sliding_window_view(codes, LENGTH + 1)[::LENGTH]


def pair(runs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is read, and what follows each of its characters."""
    return runs[:, :-1], runs[:, 1:]


def network() -> Any:
    """A recurrent layer of 64 units between an embedding and a choice of the next character."""
    import keras

    keras.utils.set_random_seed(1)
    layers = keras.layers
    size = len(CHARACTERS) + 1
    return keras.Sequential(
        [
            keras.Input((LENGTH,), dtype="int32"),
            layers.Embedding(size, 8),
            layers.GRU(64, return_sequences=True),
            layers.Dense(size),
        ]
    )


def main(arguments: Sequence[str] | None = None) -> Mapping[str, Any]:
    """Train on the roles, and, to compare, where all speeches are in one place; print and draw the accuracy of both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="ROLES.jsonl.gz")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plot", type=Path, metavar="CURVE.png", help="draw the accuracy by round; needs matplotlib")
    options = parser.parse_args(arguments)
    if not options.data.is_file():
        parser.error(f"there is no {options.data}; --help says what it holds")

    import keras

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = fed.learning.models.functional_model_from_keras(network(), loss, metrics=["accuracy"])
    process = fed.learning.algorithms.build_weighted_fed_avg(model, fed.learning.optimizers.build_sgdm(2.0))
    first, last = roles(options.data)
    with fed.plan_context():
        runs = {
            name: fed.simulation.train(
                process,
                data,
                rounds=options.rounds,
                clients_per_round=10,
                batch_size=10,
                max_examples=runs_a_round,
                seed=options.seed,
                evaluate=fed.simulation.build_evaluation_fn(process, model, last, batch_size=20),
                evaluate_every=options.rounds // 10 or 1,
            )
            # In one place there are as many runs in a round as with ten roles.
            for name, data, runs_a_round in [
                ("federated", first, RUNS_A_ROUND),
                ("in one place", fed.simulation.datasets.pooled(first), 10 * RUNS_A_ROUND),
            ]
        }
    found = {name: run.column("evaluation/accuracy") for name, run in runs.items()}
    for number, accuracy in found["federated"].items():
        print(f"round {number:3}: test accuracy {accuracy:.3f}; in one place {found['in one place'][number]:.3f}")
    if options.plot:
        fed.simulation.plot_runs(options.plot, runs, "evaluation/accuracy")
    return runs


if __name__ == "__main__":
    main()
