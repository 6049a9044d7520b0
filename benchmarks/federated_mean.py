"""How long a federated mean over ten thousand clients takes, in the local context.

    python -m benchmarks.federated_mean [--quick] [--json FILE]

The first call is not counted. Each figure is the median of many calls, with the least and the most beside it; a vector
stands for a small model. `sum(...) / n` in Python, over the same list, says how fast the machine is.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import federated as fed

CLIENTS = 10_000
_VECTOR = 100


@fed.federated_computation(fed.FederatedType(np.float32, fed.CLIENTS))
def mean(readings: Any) -> Any:
    """The mean of the clients' numbers."""
    return fed.federated_mean(readings)


@fed.federated_computation(fed.FederatedType(np.float32, fed.CLIENTS), fed.FederatedType(np.float32, fed.CLIENTS))
def weighted_mean(readings: Any, weights: Any) -> Any:
    """The mean of the clients' numbers, each as often as its weight says."""
    return fed.federated_mean(readings, weights)


@fed.federated_computation(fed.FederatedType((np.float32, [_VECTOR]), fed.CLIENTS))
def mean_of_vectors(updates: Any) -> Any:
    """The mean of the clients' vectors."""
    return fed.federated_mean(updates)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write what was asked for."""
    options = _parser().parse_args(arguments)
    clients, calls = (1_000, 3) if options.quick else (CLIENTS, 25)
    numbers = [float(number) for number in range(clients)]
    vectors = list(np.random.Generator(np.random.PCG64(1)).normal(size=(clients, _VECTOR)).astype(np.float32))
    cases: dict[str, Callable[[], Any]] = {
        "python sum": lambda: sum(numbers) / clients,
        "mean": lambda: mean(numbers),
        "weighted mean": lambda: weighted_mean(numbers, numbers),
        f"mean of vectors of {_VECTOR}": lambda: mean_of_vectors(vectors),
    }
    document = {
        "machine": {"cores": os.cpu_count(), "processor": platform.machine(), "python": sys.version.split()[0]},
        "clients": clients,
        "calls": calls,
        "milliseconds": {title: _timed(case, calls) for title, case in cases.items()},
    }
    print(markdown(document))
    if options.json is not None:
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    return 0


def markdown(document: dict[str, Any]) -> str:
    """The figures as a table."""
    rows = [
        f"| {title} | {times['median']:.2f} ({times['min']:.2f} … {times['max']:.2f}) |"
        for title, times in document["milliseconds"].items()
    ]
    return "\n".join([f"| {document['clients']:,} clients | ms a call (min … max) |", "| --- | --- |", *rows])


def _timed(case: Callable[[], Any], calls: int) -> dict[str, float]:
    case()
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        case()
        times.append((time.perf_counter() - start) * 1e3)
    return {"median": statistics.median(times), "min": min(times), "max": max(times)}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.federated_mean", description="Time a federated mean.")
    parser.add_argument("--quick", action="store_true", help="a thousand clients, three calls: a smoke test")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    return parser


if __name__ == "__main__":
    sys.exit(main())
