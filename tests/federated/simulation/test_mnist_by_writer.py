"""The example on thirty writers; the data is no part of the project, FEDELTA_TEST_DATA names its folder."""

import os
from pathlib import Path

import pytest

from examples import mnist_by_writer

DATA = Path(os.environ.get("FEDELTA_TEST_DATA", "../shared/data")) / "mnist_by_writer" / "small_30_writers.npz"

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not DATA.exists(), reason=f"there is no {DATA}; FEDELTA_TEST_DATA names its folder"),
]


def test_thirty_writers_teach_what_is_known_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    result = mnist_by_writer.main([str(DATA), "--rounds", "50"])
    assert result.column("evaluation/accuracy")[50] == pytest.approx(0.885, abs=0.015)
    assert "round  50: test accuracy 0.8" in capsys.readouterr().out
