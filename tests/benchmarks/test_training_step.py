"""The benchmark runs, and what it writes down adds up."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from benchmarks import report
from benchmarks.measure import ROOT

RECORD = {"runtime": "some 1.0", "launch_to_first_step_seconds": 1.5, "launch_cpu_seconds": 0.5}
PEAKS = {"peak_resident_bytes_training": 50 << 20, "peak_resident_bytes_after_restore": 60 << 20}


def _timed(title: str, milliseconds: float) -> dict[str, Any]:
    names = (f"cpu_seconds_per_step_{name}" for name in ("median", "min", "max"))
    return {"title": title, **RECORD, **PEAKS, **dict.fromkeys(names, milliseconds / 1e3)}


DOCUMENT: dict[str, Any] = {
    "models": [
        {
            "model": "small",
            "parameters": 10,
            "parameter_bytes": 40,
            "file_bytes": 60,
            "contestants": [
                _timed(report.REFERENCE, 4.0),
                _timed("exported, litert", 2.0),
                {"title": "PyTorch", "unavailable": "No module named 'torch'"},
            ],
        }
    ]
}


def test_the_table_holds_ratios_to_tensorflow_and_says_what_did_not_run() -> None:
    rows = {line.split(" | ")[0]: line.split(" | ") for line in report.markdown(DOCUMENT).splitlines() if " | " in line}
    assert rows["| exported, litert"][2:5] == ["2 (2 … 2)", "10,000", "2.00"]
    assert rows["| exported, litert"][6] == "50 / 60 |"
    assert rows["| PyTorch"][1] == "not run: No module named 'torch'"
    assert "60 bytes, 1.500 times as many" in report.markdown(DOCUMENT)


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="the picture needs matplotlib")
def test_the_picture_is_drawn(tmp_path: Path) -> None:
    report.plot(DOCUMENT, tmp_path / "figures.png")
    assert (tmp_path / "figures.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.tensorflow
@pytest.mark.timeout(300)
def test_a_quick_run_measures_every_runtime_that_is_there(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.training_step", "--quick", "--json", str(tmp_path / "figures.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "### mlp_784_200_10" in done.stdout
    (model,) = json.loads((tmp_path / "figures.json").read_text())["models"]
    assert model["parameters"] == 784 * 200 + 200 + 200 * 10 + 10
    assert model["parameter_bytes"] < model["file_bytes"] < 1.1 * model["parameter_bytes"]
    records = {record["title"]: record for record in model["contestants"]}
    assert report.REFERENCE in records
    assert all(record["cpu_seconds_per_step_median"] > 0 for record in records.values())
    assert len({round(record["first_loss"], 4) for record in records.values()}) == 1  # all start from the same weights
