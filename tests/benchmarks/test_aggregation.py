"""The benchmarks of aggregators run, and their tables say what was measured."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.measure import ROOT


@pytest.mark.tensorflow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("name", "expected"), [("robustness", "| mean | "), ("compression", "| float32 | 60,")])
def test_a_quick_run_prints_its_table_and_writes_its_figures(name: str, expected: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", f"benchmarks.{name}", "--quick", "--json", str(tmp_path / "figures.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert expected in done.stdout
    records = json.loads((tmp_path / "figures.json").read_text())["records"]
    assert all(0 <= accuracy <= 1 for record in records for accuracy in record["accuracy_by_round"])
