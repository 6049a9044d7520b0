"""The benchmark runs, and writes down what it prints; how fast it was is not a matter of a test."""

import json
from pathlib import Path

import pytest

from benchmarks import federated_mean


def test_a_quick_run_writes_a_figure_for_each_case(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "figures.json"
    assert federated_mean.main(["--quick", "--json", str(file)]) == 0
    document = json.loads(file.read_text())
    assert document["clients"] == 1_000
    assert list(document["milliseconds"]) == ["python sum", "mean", "weighted mean", "mean of vectors of 100"]
    for times in document["milliseconds"].values():
        assert 0 < times["min"] <= times["median"] <= times["max"]
    assert capsys.readouterr().out == federated_mean.markdown(document) + "\n"
