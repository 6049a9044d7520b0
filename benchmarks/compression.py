"""What a device sends, and what that costs in accuracy, for every way of compressing updates, in one run.

    python -m benchmarks.compression [--quick] [--json FILE]

Federated averaging of a small network on digits, dealt to 20 clients, as the plans that devices run. Bytes are those of
an update's file; accuracy is on held-out digits after the last round. Prints a table in Markdown.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import federated as fed
from benchmarks import digits
from benchmarks.digits import Digits
from federated.aggregators import EdenFactory, EncodedSumFactory, MeanFactory, TopKFactory
from federated.aggregators.process import AggregationFactory
from federated.learning.batches import batches_of
from wire import tensors
from wire.tensors import Array

CLIENTS, BATCH_SIZE, LEARNING_RATE, HIDDEN = 20, 20, 0.1, 200
Batches = list[tuple[Array, Array]]
AGGREGATORS: Mapping[str, AggregationFactory] = {
    "float32": MeanFactory(),
    "uniform, 8 bits": MeanFactory(EncodedSumFactory(8)),
    "uniform, 4 bits": MeanFactory(EncodedSumFactory(4)),
    "EDEN, 4 bits": MeanFactory(EdenFactory(4)),
    "EDEN, 2 bits": MeanFactory(EdenFactory(2)),
    "EDEN, 1 bit (DRIVE)": MeanFactory(EdenFactory(1)),
    "top 10 %": MeanFactory(TopKFactory(0.1)),
    "top 1 %": MeanFactory(TopKFactory(0.01)),
    "top 10 %, error feedback": MeanFactory(TopKFactory(0.1, error_feedback=True)),
    "top 1 %, error feedback": MeanFactory(TopKFactory(0.01, error_feedback=True)),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, and write what was asked for."""
    options = _parser().parse_args(arguments)
    names = ["float32", "EDEN, 1 bit (DRIVE)"] if options.quick else list(AGGREGATORS)
    rounds = 3 if options.quick else options.rounds
    records = [{"aggregator": name, **measured(AGGREGATORS[name], rounds)} for name in names]
    document = {"clients": CLIENTS, "rounds": rounds, "parameters": parameters(), "records": records}
    print(markdown(document))
    if options.json is not None:
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    return 0


def measured(aggregator: AggregationFactory, rounds: int) -> dict[str, Any]:
    """The bytes of an update, and the test accuracy after every round."""
    examples, test = digits.dealt(CLIENTS, seed=0)
    clients = [_batches(one) for one in examples]
    process = fed.learning.algorithms.build_weighted_fed_avg(
        _model(), fed.learning.optimizers.build_sgdm(LEARNING_RATE), model_aggregator=aggregator
    )
    state, curve = process.initialize(), []
    compiled = fed.compiled(process.next_computation, state, batches_of(clients))
    (work,) = compiled.plan.manifest.works.values()
    update = {name: np.zeros(spec.shape, spec.dtype) for name, spec in work.update_specs.items()}
    states = fed.simulation.DeviceStates()
    with fed.plan_context(), states.of([str(number) for number in range(CLIENTS)]):
        for _ in range(rounds):
            state, _ = process.next(state, clients)
            curve.append(_accuracy(process.get_model_weights(state).trainable, test))
    return {"update_bytes": len(tensors.encode(update)), "accuracy_by_round": curve}


def parameters() -> int:
    """How many numbers an update holds."""
    return 64 * HIDDEN + HIDDEN + HIDDEN * 10 + 10


def _model() -> Any:
    import keras

    keras.utils.set_random_seed(1)
    layers = [keras.Input((64,)), keras.layers.Dense(HIDDEN, activation="relu"), keras.layers.Dense(10)]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return fed.learning.models.functional_model_from_keras(keras.Sequential(layers), loss)


def _batches(client: Digits) -> Batches:
    starts = range(0, len(client.y), BATCH_SIZE)
    return [(client.x[start : start + BATCH_SIZE], client.y[start : start + BATCH_SIZE]) for start in starts]


def _accuracy(weights: Sequence[Array], test: Digits) -> float:
    kernel, bias, last_kernel, last_bias = weights
    logits = np.maximum(test.x @ kernel + bias, 0) @ last_kernel + last_bias
    return float((logits.argmax(1) == test.y).mean())


def markdown(document: Mapping[str, Any]) -> str:
    """The table: bytes, how many times fewer, and the accuracy lost."""
    plain = document["records"][0]
    best = plain["accuracy_by_round"][-1]
    lines = [
        f"{document['parameters']:,} parameters, {document['clients']} clients, {document['rounds']} rounds.\n",
        "| updates as | bytes a device sends | times fewer | accuracy | lost |",
        "| --- | --- | --- | --- | --- |",
    ]
    for record in document["records"]:
        size, accuracy = record["update_bytes"], record["accuracy_by_round"][-1]
        lines.append(
            f"| {record['aggregator']} | {size:,} | {plain['update_bytes'] / size:.1f} | {accuracy:.3f} | "
            f"{best - accuracy:+.3f} |"
        )
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compression", description="Compare compressions.")
    parser.add_argument("--quick", action="store_true", help="three rounds of two of them: a smoke test")
    parser.add_argument("--rounds", type=int, default=40, help="how many rounds (40)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    return parser


if __name__ == "__main__":
    sys.exit(main())
