"""The benchmark of simulated rounds runs; how fast they were is not a matter of a test."""

import json
from pathlib import Path

import pytest

from benchmarks import simulation

pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(300)]


def test_a_quick_run_times_every_contestant_and_they_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "figures.json"
    assert simulation.main(["--quick", "--json", str(file)]) == 0
    document = json.loads(file.read_text())
    records = {one["name"]: one for one in document["cases"][0]["contestants"]}
    assert list(records) == list(simulation.TITLES)
    assert {name for name, one in records.items() if "unavailable" in one} <= set(simulation.PEERS)
    for one in (one for one in records.values() if "unavailable" not in one):
        assert 0 < one["cpu_seconds_per_round_min"] <= one["cpu_seconds_per_round_median"]
    # TensorFlow and we start from the same weights, and have held as many rounds.
    expected = records["tensorflow"]["square_of_first_kernel"]
    assert records["fedelta"]["square_of_first_kernel"] == pytest.approx(expected, rel=1e-5)
    assert records["fedelta_all_cores"]["square_of_first_kernel"] == records["fedelta"]["square_of_first_kernel"]
    assert "NumPy loop" in capsys.readouterr().out
