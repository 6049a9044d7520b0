"""`fedelta-device` as a person meets it."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from device_sdk import files
from device_sdk.cli import main
from device_sdk.state_dir import StateDir
from tests.device_sdk.conftest import linear_examples
from tests.device_sdk.http_orchestrator import OrchestratorServer, serving
from tests.device_sdk.memory_orchestrator import TOKEN, MemoryOrchestrator

PROGRAM = (sys.executable, "-m", "device_sdk")


@pytest.fixture
def url(orchestrator: MemoryOrchestrator) -> Iterator[str]:
    with serving(OrchestratorServer(orchestrator)) as url:
        yield url


def device(state: StateDir, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*PROGRAM, *arguments, "--state-dir", str(state.path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def saved(state: StateDir) -> str:
    path = state.path / "examples.npz"
    np.savez(path, **linear_examples())  # type: ignore[arg-type]
    return str(path)


def test_a_device_from_its_enrolment_to_its_first_report(
    state: StateDir, orchestrator: MemoryOrchestrator, url: str
) -> None:
    enrolled = device(state, "enrol", "--url", url, "--token", TOKEN, "--attribute", "split=train")
    assert enrolled.returncode == 0, enrolled.stderr
    assert enrolled.stdout.startswith("enrolled as device-")

    imported = device(state, "data", "import", saved(state), "--collection", "default")
    assert imported.stdout == "imported 10 examples; the collection 'default' has 10\n", imported.stderr
    assert device(state, "data", "list").stdout == "default: 10 examples of x=float32[2], y=float32\n"

    orchestrator.assign()
    worked = device(state, "once")
    assert worked.returncode == 0, worked.stderr
    assert "assigned round 1 of task digits (train)" in worked.stderr
    assert "trained 3 steps on 10 examples, loss " in worked.stderr
    assert "reported round 1: completed" in worked.stderr
    assert "assignment-1" in orchestrator.reports

    status = json.loads(device(state, "status", "--json").stdout)
    assert status["population"] == "sensors"
    assert status["collections"] == [{"name": "default", "examples": 10, "fields": {"x": "float32[2]", "y": "float32"}}]
    assert status["runtime"]["interpreter"]
    assert "enrolled    as device-" in device(state, "status").stdout


def test_refusals_are_one_line_and_status_1(state: StateDir, url: str) -> None:
    unknown = device(state, "enrol", "--url", url, "--token", "another")
    assert (unknown.returncode, unknown.stderr) == (1, "fedelta-device: the token is unknown (unauthenticated)\n")
    early = device(state, "once")
    assert early.returncode == 1
    assert "is not enrolled; run: fedelta-device enrol --url URL --token TOKEN" in early.stderr
    assert device(state, "enrol", "--url", url, "--token", TOKEN).returncode == 0
    again = device(state, "enrol", "--url", url, "--token", TOKEN)
    assert again.returncode == 1
    assert "is enrolled already, as device-" in again.stderr


def test_a_second_process_is_refused(state: StateDir, orchestrator: MemoryOrchestrator, url: str) -> None:
    device(state, "enrol", "--url", url, "--token", TOKEN)
    with files.locked(state.lock):
        second = device(state, "run")
    assert second.returncode == 1
    assert "another fedelta-device is at work" in second.stderr
    assert "check_in" not in orchestrator.calls


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["enrol", "--url", "http://x"],
        ["enrol", "--url", "u", "--token", "t", "--attribute", "x"],
        ["data"],
    ],
)
def test_wrong_usage_is_status_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        main(arguments)
    assert ending.value.code == 2


def test_the_help_tells_the_exit_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "exit status: 0 fine; 1 refused or failed" in capsys.readouterr().out


def test_a_device_that_holds_nothing_says_what_to_do(state: StateDir) -> None:
    missing = StateDir(state.path / "missing")
    assert "no; run: fedelta-device enrol" in device(missing, "status").stdout
    assert "no collections; run: fedelta-device data import" in device(missing, "data", "list").stdout
    assert not missing.path.exists()


def test_a_refused_import_says_where_the_fault_is(state: StateDir, tmp_path: Path) -> None:
    np.savez(tmp_path / "bad.npz", x=np.array([1.0, np.nan]))
    refused = device(state, "data", "import", str(tmp_path / "bad.npz"), "--collection", "default")
    assert refused.returncode == 1
    assert refused.stderr == (
        "fedelta-device: the array 'x' holds NaN or infinity, first at [1]; nothing was imported\n"
    )


@pytest.mark.processes
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_works_until_it_is_stopped(
    state: StateDir, orchestrator: MemoryOrchestrator, url: str, number: signal.Signals
) -> None:
    device(state, "enrol", "--url", url, "--token", TOKEN)
    device(state, "data", "import", saved(state), "--collection", "default")
    orchestrator.assign()
    command = [*PROGRAM, "run", "--state-dir", str(state.path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 30
        while len(orchestrator.check_ins) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        started = time.monotonic()
        process.send_signal(number)
        _, log = process.communicate(timeout=30)
    assert process.returncode == 0, log
    assert time.monotonic() - started < 3, "the rest of five seconds was not interrupted"
    assert "stopped; what was in flight goes on at the next start" in log
    assert "Traceback" not in log
    assert len(orchestrator.reports) == 1
