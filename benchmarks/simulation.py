"""How much a simulated round of federated averaging costs, beside plain loops and other libraries, in one run.

    python -m benchmarks.simulation [--quick] [--json FILE] [--fedjax-python PYTHON] [--pfl-python PYTHON] …

100 clients with 100 examples each, batches of 20, one epoch. Every contestant has a process of its own; they take
turns, round after round, so that whatever slows the machine down slows all of them. Times are CPU times over all
threads and processes. Other libraries run in environments of their own, whose Python the options name.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT
from benchmarks.simulated_clients import CNN, EXAMPLES, MLP

TITLES: Mapping[str, str] = {
    "numpy": "NumPy loop",
    "tensorflow": "TensorFlow tf.function loop",
    "fedelta": "Fedelta, one thread",
    "fedelta_all_cores": "Fedelta, all cores",
    "fedjax": "FedJAX",
    "pfl": "pfl-research, PyTorch",
    "flower": "Flower, Ray",
}
PEERS = ("fedjax", "pfl", "flower")
FLOORS = {MLP: "numpy", CNN: "tensorflow"}
_COHORTS = (100, 10_000)
_MEBIBYTE = 1 << 20
_COLUMNS = (
    "contestant",
    "CPU s a round (min … max)",
    "of the floor",
    "wall s",
    "launch to first client, s (CPU s)",
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
        answer = _answer(self.process)
        if "unavailable" in answer:
            raise SystemExit(f"{TITLES[self.name]}: {answer['unavailable']}")
        self.rounds.append(answer)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulation", description="Time simulated rounds.")
    parser.add_argument("--quick", action="store_true", help="ten clients and the small model: a smoke test")
    parser.add_argument("--rounds", type=int, default=7, help="how often each contestant has its turn (7)")
    parser.add_argument("--clients", type=int, default=100, help="how many a round has (100)")
    parser.add_argument("--model", action="append", choices=list(FLOORS), help="only this one; repeat for several")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    for peer in PEERS:
        parser.add_argument(f"--{peer}-python", type=Path, default=Path(sys.executable), metavar="PYTHON")
    options = parser.parse_args(arguments)
    clients, rounds = (10, 2) if options.quick else (options.clients, options.rounds)
    pythons = {peer: getattr(options, f"{peer}_python") for peer in PEERS}
    cases = [MLP] if options.quick else options.model or list(FLOORS)
    document: dict[str, Any] = {"clients": clients, "rounds": rounds, "cases": []}
    for case in cases:
        document["cases"].append({"case": case, "contestants": measured(case, clients, rounds, pythons)})
    if not options.quick:
        document["memory"] = [memory(case, count) for case in cases for count in _COHORTS]
    print(markdown(document))
    if options.json is not None:
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    return 0


def measured(case: str, clients: int, rounds: int, pythons: Mapping[str, Path]) -> list[dict[str, Any]]:
    """The figures of every contestant for a model.

    Args:
        pythons: of the contestants that have an environment of their own.
    """
    runnings = [_launched(name, case, clients, python=pythons.get(name)) for name in TITLES]
    alive = [running for running in runnings if "unavailable" not in running.first]
    for _ in range(rounds):
        for running in alive:
            running.hold()
    for running in runnings:
        running.process.communicate()
    return [_record(running) for running in runnings]


def memory(case: str, clients: int) -> dict[str, Any]:
    """Our peak memory over a round of so many clients with a batch of two examples each, read one after the other."""
    running = _launched("fedelta_all_cores", case, clients, examples=2)
    running.process.communicate()
    return {"case": case, "clients": clients, "peak_resident_bytes": running.first["peak_resident_bytes"]}


def _launched(name: str, case: str, clients: int, *, examples: int = EXAMPLES, python: Path | None = None) -> Running:
    numbers = [str(clients), str(examples), str(time.time())]
    command = [str(python or sys.executable), "-m", "benchmarks.simulated_rounds", name, case, *numbers]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        # An installed library has its bytecode; a checkout has it from the second launch on, if Python may write it.
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": ""},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    return Running(name, process, _answer(process))


def _answer(process: "subprocess.Popen[str]") -> dict[str, Any]:
    assert process.stdout is not None
    line = next((line for line in process.stdout if line.startswith("{")), None)
    if line is None:
        return {"unavailable": f"its process ended with status {process.wait()}"}
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
        **{name: running.first.get(name) for name in ("launch_to_first_client_seconds", "launch_cpu_seconds")},
        "peak_resident_bytes": last["peak_resident_bytes"],
        "square_of_first_kernel": last["square_of_first_kernel"],
    }


_STATISTICS: Mapping[str, Callable[[Sequence[float]], float]] = {"median": statistics.median, "min": min, "max": max}


def markdown(document: Mapping[str, Any]) -> str:
    """The tables."""
    return "\n".join([*_cases(document), *_memory(document)])


def _cases(document: Mapping[str, Any]) -> Iterator[str]:
    for case in document["cases"]:
        records = {one["name"]: one for one in case["contestants"]}
        floor = records[FLOORS[case["case"]]]["cpu_seconds_per_round_median"]
        yield f"### {case['case']}, {document['clients']} clients\n"
        yield "| " + " | ".join(_COLUMNS) + " |"
        yield "| --- |" + " --- |" * (len(_COLUMNS) - 1)
        for one in records.values():
            yield f"| {one['title']} | {' | '.join(_cells(one, floor))} |"
        yield ""


def _cells(record: Mapping[str, Any], floor: float) -> list[str]:
    if "unavailable" in record:
        return [f"not run: {record['unavailable']}", *[""] * (len(_COLUMNS) - 2)]
    low, middle, high = (record[f"cpu_seconds_per_round_{name}"] for name in ("min", "median", "max"))
    launch = record["launch_to_first_client_seconds"]
    return [
        f"{middle:.3f} ({low:.3f} … {high:.3f})",
        f"{middle / floor:.2f}",
        f"{record['wall_seconds_per_round_median']:.3f}",
        "" if launch is None else f"{launch:.1f} ({record['launch_cpu_seconds']:.1f})",
        f"{record['peak_resident_bytes'] / _MEBIBYTE:.0f}",
    ]


def _memory(document: Mapping[str, Any]) -> Iterator[str]:
    for one in document.get("memory", []):
        peak = one["peak_resident_bytes"] / _MEBIBYTE
        yield f"Peak memory, {one['case']}, {one['clients']:,} clients in a round: {peak:.0f} MiB"


if __name__ == "__main__":
    sys.exit(main())
