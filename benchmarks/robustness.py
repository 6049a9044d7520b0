"""How well each aggregator holds when a fifth of the clients lie, in one run.

    python -m benchmarks.robustness [--quick] [--json FILE] [--plot FILE.png]

Softmax regression on digits, dealt to 20 clients evenly, or with label skew; four of them send their update with the
sign turned round, ten times as large, or both. Prints the test accuracy after the last round as a table in Markdown.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import federated as fed
from benchmarks import digits
from federated.aggregators import MeanFactory, RobustMeanFactory
from federated.aggregators.process import AggregationFactory, AggregationProcess
from federated.language.inference import infer_type
from federated.language.types import TensorType

CLIENTS, LIARS = 20, 4
ATTACKS: Mapping[str, float] = {"none": 1.0, "sign-flipped": -1.0, "scaled by 10": 10.0, "both": -10.0}
AGGREGATORS: Mapping[str, AggregationFactory] = {
    "mean": MeanFactory(),
    "median": RobustMeanFactory("median"),
    "trimmed mean, a fifth": RobustMeanFactory("trimmed_mean", fraction=0.2),
    "Krum": RobustMeanFactory("krum", byzantine=LIARS),
    "multi-Krum of 10": RobustMeanFactory("krum", byzantine=LIARS, selected=10),
    "geometric median": RobustMeanFactory("geometric_median"),
}
SPLITS: Mapping[str, float | None] = {"even": None, "skewed": 0.5}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, and write what was asked for."""
    options = _parser().parse_args(arguments)
    rounds, splits = (5, ["even"]) if options.quick else (options.rounds, list(SPLITS))
    records = [
        {"split": split, "aggregator": name, "attack": attack, "accuracy_by_round": curve(name, attack, split, rounds)}
        for split in splits
        for name in AGGREGATORS
        for attack in ATTACKS
    ]
    document = {"clients": CLIENTS, "lying_clients": LIARS, "rounds": rounds, "records": records}
    print(markdown(document))
    if options.json is not None:
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    if options.plot is not None:
        plot(document, options.plot)
    return 0


def curve(aggregator: str, attack: str, split: str, rounds: int, seed: int = 0) -> list[float]:
    """The test accuracy after every round."""
    clients, test = digits.dealt(CLIENTS, seed, skew=SPLITS[split])
    process = _process(AGGREGATORS[aggregator])
    model, state, found = digits.first_model(), process.initialize(), []
    for _ in range(rounds):
        updates = [_sent(digits.trained(model, client), ATTACKS[attack], k) for k, client in enumerate(clients)]
        with fed.local_context():
            output = process.next(state, updates, digits.sizes(clients))
        state, model = output.state, digits.added(model, output.result)
        found.append(digits.accuracy(model, test))
    return found


def _process(factory: AggregationFactory) -> AggregationProcess:
    return factory.create(infer_type(digits.first_model()), TensorType(np.float32))


def _sent(update: digits.Update, factor: float, client: int) -> digits.Update:
    return digits.scaled(update, factor) if client < LIARS else update


def markdown(document: Mapping[str, Any]) -> str:
    """A table for every split: aggregators down, attacks across."""
    lines: list[str] = []
    splits = dict.fromkeys(record["split"] for record in document["records"])
    for split in splits:
        lines += [f"### Clients' examples: {split}\n", "| aggregator | " + " | ".join(ATTACKS) + " |"]
        lines.append("| --- |" + " --- |" * len(ATTACKS))
        for name in AGGREGATORS:
            cells = [f"{_last(document, split, name, attack):.3f}" for attack in ATTACKS]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def _last(document: Mapping[str, Any], *key: str) -> float:
    return next(
        float(record["accuracy_by_round"][-1])
        for record in document["records"]
        if (record["split"], record["aggregator"], record["attack"]) == key
    )


def plot(document: Mapping[str, Any], path: Path) -> None:
    """Accuracy by round, a panel an attack, of the first split. Needs matplotlib."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4 * len(ATTACKS), 3.5), layout="constrained")
    for index, attack in enumerate(ATTACKS):
        axes = figure.add_subplot(1, len(ATTACKS), index + 1)
        for record in document["records"]:
            if (record["split"], record["attack"]) == (document["records"][0]["split"], attack):
                axes.plot(record["accuracy_by_round"], label=record["aggregator"])
        axes.set(title=f"liars: {attack}", xlabel="round", ylabel="test accuracy", ylim=(0, 1))
    axes.legend()
    figure.savefig(path, dpi=150)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.robustness", description="Compare robust aggregators.")
    parser.add_argument("--quick", action="store_true", help="five rounds of one split: a smoke test")
    parser.add_argument("--rounds", type=int, default=100, help="how many rounds (100)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the figures; needs matplotlib")
    return parser


if __name__ == "__main__":
    sys.exit(main())
