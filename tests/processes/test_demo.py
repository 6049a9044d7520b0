"""`fedelta demo`, in small."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = [pytest.mark.processes, pytest.mark.tensorflow, pytest.mark.timeout(300)]

DATA = Path(os.environ.get("FEDELTA_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
WRITERS = DATA / "mnist_by_writer" / "small_30_writers.npz"


def _demo(folder: Path, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "federated", "demo", "--report", str(folder / "report.json"), *arguments]
    done = subprocess.run(
        command, cwd=folder, env=os.environ | {"TMPDIR": str(folder)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return report


def test_the_demo_holds_its_rounds_and_says_where_they_are_kept(tmp_path: Path) -> None:
    report = _demo(tmp_path, "--devices", "4", "--rounds", "3")
    assert report["rounds"] == 3
    assert 0.3 < report["held_out_accuracy"] <= 1
    assert Path(report["checkpoint"]).stat().st_size > 1000
    with closing(sqlite3.connect(report["database"])) as database:
        states = database.execute("SELECT state, count(*) FROM rounds GROUP BY state").fetchall()
    assert states == [("completed", 6)]


def test_the_demo_takes_a_file_of_real_writers(tmp_path: Path) -> None:
    if not WRITERS.exists():
        pytest.skip(f"{WRITERS} is not there; FEDELTA_TEST_DATA says where the data is")
    with np.load(WRITERS) as arrays:
        x, y, writer = arrays["x_train"], arrays["y_train"], arrays["writer_train"]
    few = np.isin(writer, np.unique(writer)[:5])
    np.savez(tmp_path / "writers.npz", x=x[few], y=y[few], client=writer[few])
    report = _demo(tmp_path, "--data", str(tmp_path / "writers.npz"), "--rounds", "2")
    assert report["rounds"] == 2
    with closing(sqlite3.connect(report["database"])) as database:
        assert database.execute("SELECT count(*) FROM devices").fetchone() == (5,)


def test_the_demo_refuses_data_that_it_cannot_deal(tmp_path: Path) -> None:
    np.savez(tmp_path / "odd.npz", x=np.zeros((3, 4, 4)), y=np.zeros(2), client=np.zeros(3))
    done = subprocess.run(
        [sys.executable, "-m", "federated", "demo", "--data", str(tmp_path / "odd.npz")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "x, y and client" in done.stderr or "y and client of [n]" in done.stderr
    assert "Traceback" not in done.stderr
