"""How fast an exported model trains, beside TensorFlow and PyTorch, in one run.

    python -m benchmarks.training_step [--quick] [--json FILE] [--plot FILE.png]

Prints a table a model. Times are CPU times of the process, over all its threads: what a shared machine disturbs least.
The two device runtimes run in `.venvs/litert` and `.venvs/tflite-runtime`, which `make test` builds; `--torch-python`
and `--flex-python` name the Python of other environments, with PyTorch or with a TensorFlow that still has Flex.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT, Entry, measure
from benchmarks.models import BATCH_SIZE, CASES
from benchmarks.report import REFERENCE, markdown, plot


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write what was asked for."""
    options = _parser().parse_args(arguments)
    cases = options.model or (["mlp_784_200_10"] if options.quick else list(CASES))
    rounds, seconds = (2, 0.1) if options.quick else (options.rounds, options.seconds)
    document: dict[str, Any] = {"machine": _machine(), "batch_size": BATCH_SIZE, "rounds": rounds, "models": []}
    with tempfile.TemporaryDirectory(prefix="fedelta-benchmark-") as directory:
        for case in cases:
            file = Path(directory) / f"{case}.tflite"
            facts = _export(case, file)
            if "unavailable" in facts:
                print(f"{case}: not exported: {facts['unavailable']}", file=sys.stderr)
                continue
            records = measure(_entries(options), case, file, rounds=rounds, seconds=seconds)
            document["models"].append({"model": case, **facts, "contestants": records})
    print(markdown(document))
    if options.json is not None:
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    if options.plot is not None:
        plot(document, options.plot)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_step", description="Time a training step.")
    parser.add_argument("--quick", action="store_true", help="the smallest model, briefly: a smoke test")
    parser.add_argument("--model", action="append", choices=list(CASES), help="only this one; repeat for several")
    parser.add_argument("--rounds", type=int, default=7, help="how often each contestant has its turn (7)")
    parser.add_argument("--seconds", type=float, default=1.0, help="the CPU time of a turn (1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the figures; needs matplotlib")
    parser.add_argument("--torch-python", type=Path, default=Path(sys.executable), metavar="PYTHON")
    parser.add_argument("--flex-python", type=Path, default=Path(sys.executable), metavar="PYTHON")
    return parser


def _entries(options: argparse.Namespace) -> list[Entry]:
    here = Path(sys.executable)
    devices = [
        Entry(f"exported, {name}", "exported", python)
        for name in ("litert", "tflite-runtime")
        if (python := ROOT / ".venvs" / name / "bin" / "python").exists()
    ]
    entries = [*(devices or [Entry("exported", "exported", here)]), Entry(REFERENCE, "tensorflow", here)]
    if not options.quick:
        entries.append(Entry("TensorFlow, XLA", "tensorflow_xla", here))
        entries.append(Entry("official export with Flex", "flex", options.flex_python))
        entries.append(Entry("PyTorch", "torch", options.torch_python))
    return entries


_EXPORT = """
import json, sys
from pathlib import Path
import keras, model_export
from benchmarks.models import BATCH_SIZE, CASES, LEARNING_RATE
keras.utils.set_random_seed(1)
model = CASES[sys.argv[1]].keras()
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
try:
    exported = model_export.export_model(
        model, loss=loss, optimizer=keras.optimizers.SGD(LEARNING_RATE), batch_size=BATCH_SIZE
    )
except model_export.ExportError as error:
    print(json.dumps({"unavailable": str(error)}))
    sys.exit()
Path(sys.argv[2]).write_bytes(exported.tflite)
sizes = {"parameter_bytes": 4 * model.count_params(), "file_bytes": len(exported.tflite)}
print(json.dumps({"parameters": model.count_params(), **sizes}))
"""


def _export(case: str, file: Path) -> dict[str, Any]:
    """Write the model's exported file, and give its sizes; in a process of its own, for this one must stay small."""
    command = [sys.executable, "-c", _EXPORT, case, str(file)]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"{case} cannot be exported:\n{done.stderr}")
    facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return facts


def _machine() -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))]
    return {
        "processor": next(iter(names), platform.machine()),
        "cores": os.cpu_count(),
        "python": sys.version.split()[0],
    }


if __name__ == "__main__":
    sys.exit(main())
