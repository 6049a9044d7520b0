"""The orchestrator's benchmark runs, and its table says what was measured."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.measure import ROOT


@pytest.mark.tensorflow
@pytest.mark.processes
@pytest.mark.timeout(300)
def test_a_quick_run_prints_its_table_and_writes_its_figures(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks.orchestrator", "--quick", "--json", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    document = json.loads(file.read_text())
    (record,) = document["records"]
    assert (record["devices"], record["updates"]) == (4, 8)
    assert 0 < record["discard_cpu_seconds_per_update"] < record["cpu_seconds_per_update"]
    assert document["idle_check_in_cpu_seconds"] > 0
    assert "| 200 KB | 4 | 8 |" in done.stdout
