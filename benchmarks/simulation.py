"""How much a simulated round of federated averaging costs, beside plain loops, in one run.

    python -m benchmarks.simulation [--quick] [--json FILE]

100 clients with 100 examples each, batches of 20, one epoch. Every contestant has a process of its own; they take
turns, round after round, so that whatever slows the machine down slows all of them. Times are CPU times over all
threads.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT
from benchmarks.simulated_rounds import SHAPES

TITLES: Mapping[str, str] = {
    "numpy": "NumPy loop",
    "tensorflow": "TensorFlow tf.function loop",
    "fedelta": "Fedelta, one thread",
    "fedelta_all_cores": "Fedelta, all cores",
}
FLOORS = {"mlp_784_200_10": "numpy", "cnn_3x3_1200k": "tensorflow"}
_MEBIBYTE = 1 << 20
_COLUMNS = (
    "contestant",
    "CPU s a round (min … max)",
    "of the floor",
    "wall s",
    "launch to first client, s",
    "peak MiB",
)


@dataclass
class Running:
    """A contestant's process, and the figures of its rounds, the first one apart."""

    name: str
    process: "subprocess.Popen[str]"
    first: dict[str, Any]
    rounds: list[dict[str, float]] = field(default_factory=list)

    def hold(self) -> None:
        """One more round."""
        assert self.process.stdin is not None
        self.process.stdin.write("round\n")
        self.process.stdin.flush()
        self.rounds.append(_answer(self.process))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulation", description="Time simulated rounds.")
    parser.add_argument("--quick", action="store_true", help="ten clients and the small model: a smoke test")
    parser.add_argument("--rounds", type=int, default=7, help="how often each contestant has its turn (7)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    options = parser.parse_args(arguments)
    clients, rounds = (10, 2) if options.quick else (100, options.rounds)
    cases = ["mlp_784_200_10"] if options.quick else list(SHAPES)
    document: dict[str, Any] = {"clients": clients, "rounds": rounds, "cases": []}
    for case in cases:
        document["cases"].append({"case": case, "contestants": measured(case, clients, rounds)})
    if not options.quick:
        document["memory"] = [memory(count) for count in (100, 10_000)]
    print(markdown(document))
    if options.json is not None:
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    return 0


def measured(case: str, clients: int, rounds: int) -> list[dict[str, Any]]:
    """The figures of every contestant for a model."""
    runnings = [_launched(name, case, clients) for name in TITLES]
    alive = [running for running in runnings if "unavailable" not in running.first]
    for _ in range(rounds):
        for running in alive:
            running.hold()
    for running in runnings:
        running.process.communicate()
    return [_record(running) for running in runnings]


def memory(clients: int) -> dict[str, Any]:
    """Our peak memory over a round of so many clients, which are read one after the other."""
    running = _launched("fedelta", "mlp_784_200_10", clients)
    running.process.communicate()
    return {"clients": clients, "peak_resident_bytes": running.first["peak_resident_bytes"]}


def _launched(name: str, case: str, clients: int) -> Running:
    command = [sys.executable, "-m", "benchmarks.simulated_rounds", name, case, str(clients), str(time.time())]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    return Running(name, process, _answer(process))


def _answer(process: "subprocess.Popen[str]") -> dict[str, Any]:
    assert process.stdout is not None
    line = next((line for line in process.stdout if line.startswith("{")), None)
    if line is None:
        raise SystemExit(f"a contestant ended with status {process.wait()}")
    document: dict[str, Any] = json.loads(line)
    return document


def _record(running: Running) -> dict[str, Any]:
    record: dict[str, Any] = {"name": running.name, "title": TITLES[running.name]}
    if "unavailable" in running.first:
        return {**record, "unavailable": running.first["unavailable"]}
    for kind in ("cpu_seconds", "wall_seconds"):
        times = [one[kind] for one in running.rounds]
        record |= {f"{kind}_per_round_{name}": of(times) for name, of in _STATISTICS.items()}
    last = running.rounds[-1]
    return {
        **record,
        "launch_to_first_client_seconds": running.first["launch_to_first_client_seconds"],
        "peak_resident_bytes": last["peak_resident_bytes"],
        "square_of_first_kernel": last["square_of_first_kernel"],
    }


_STATISTICS: Mapping[str, Callable[[Sequence[float]], float]] = {"median": statistics.median, "min": min, "max": max}


def markdown(document: Mapping[str, Any]) -> str:
    """The tables."""
    return "\n".join([*_cases(document), *_memory(document)])


def _cases(document: Mapping[str, Any]) -> Iterator[str]:
    for case in document["cases"]:
        records = {one["name"]: one for one in case["contestants"] if "unavailable" not in one}
        floor = records[FLOORS[case["case"]]]["cpu_seconds_per_round_median"]
        yield f"### {case['case']}, {document['clients']} clients\n"
        yield "| " + " | ".join(_COLUMNS) + " |"
        yield "| --- |" + " --- |" * (len(_COLUMNS) - 1)
        for one in records.values():
            low, middle, high = (one[f"cpu_seconds_per_round_{name}"] for name in ("min", "median", "max"))
            cells = [
                one["title"],
                f"{middle:.3f} ({low:.3f} … {high:.3f})",
                f"{middle / floor:.2f}",
                f"{one['wall_seconds_per_round_median']:.3f}",
                f"{one['launch_to_first_client_seconds']:.1f}",
                f"{one['peak_resident_bytes'] / _MEBIBYTE:.0f}",
            ]
            yield f"| {' | '.join(cells)} |"
        yield ""


def _memory(document: Mapping[str, Any]) -> Iterator[str]:
    for one in document.get("memory", []):
        peak = one["peak_resident_bytes"] / _MEBIBYTE
        yield f"Peak memory with {one['clients']:,} clients in a round: {peak:.0f} MiB"


if __name__ == "__main__":
    sys.exit(main())
