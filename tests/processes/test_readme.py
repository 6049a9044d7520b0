"""The README's quick start and its Python, run as they stand there."""

import os
import re
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from federated.demo.processes import stop
from tests.processes.federation import free_port, wait_for
from wire.operator import OperatorClient

pytestmark = [pytest.mark.processes, pytest.mark.tensorflow, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
TERMINALS = ("1", "2", "3", "4")


class Shell:
    """Runs lines of the README in one folder, with what a person would have typed for the placeholders."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self._port = port
        self._environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "FEDELTA_URL": f"http://127.0.0.1:{port}",
            "PYTHONUNBUFFERED": "1",
        }
        self.stack = ExitStack()

    def set(self, name: str, value: str) -> None:
        self._environment[name] = value

    def run(self, line: str) -> str:
        command = ["bash", "-c", self._on_a_free_port(line)]
        done = subprocess.run(
            command, cwd=self._folder, env=self._environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    def start(self, line: str, log: Path) -> None:
        file = self.stack.enter_context(log.open("wb"))
        command = ["bash", "-c", f"exec {self._on_a_free_port(line)}"]
        process = subprocess.Popen(
            command, cwd=self._folder, env=self._environment, stdout=file, stderr=subprocess.STDOUT
        )
        self.stack.callback(stop, process)

    def _on_a_free_port(self, line: str) -> str:
        served = re.sub(r"^(fedelta serve .*)$", rf"\1 --port {self._port}", line)
        return served.replace("127.0.0.1:8700", f"127.0.0.1:{self._port}")


def _blocks(heading: str, language: str) -> list[list[str]]:
    """The lines of the code blocks in a section."""
    section = re.split(r"^#+ ", README.split(f"{heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    return [block.strip().splitlines() for block in re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)]


def test_the_quick_start_is_ten_lines_that_hold_ten_rounds(tmp_path: Path) -> None:
    (export, serve), (key, token, push), device, (watch, show) = _blocks("## Quick start", "sh")
    assert len([export, serve, key, token, push, *device, watch, show]) == 10
    port = free_port()
    shell = Shell(tmp_path, port)
    with shell.stack:
        shell.run(f"python {ROOT / 'examples' / 'digits.py'} .")
        shell.run(export)
        shell.start(serve, tmp_path / "server.log")
        wait_for(lambda: OperatorClient(f"http://127.0.0.1:{port}", "nobody").ready())
        name, _ = key.removeprefix("export ").split("=")
        shell.set(name, re.findall(r"fdo_\w+", (tmp_path / "server.log").read_text())[0])
        shell.set("TOKEN", shell.run(token))
        shell.set("TASK", shell.run(push))
        enrol, import_data, run = device
        for number in TERMINALS:
            shell.set("N", number)
            shell.run(enrol)
            shell.run(import_data)
            shell.start(run, tmp_path / f"device-{number}.log")
        watched = shell.run(watch)
        assert "digits: completed after 10 rounds" in watched
        assert "4/4" in shell.run(show)
    losses = [float(loss) for loss in re.findall(r"loss ([0-9.]+)", watched)]
    assert len(losses) == 10
    assert losses[-1] < losses[0] / 2


def test_the_python_of_the_readme_runs(tmp_path: Path) -> None:
    (block,) = _blocks("## What is in the box", "python")
    command = [sys.executable, "-c", "\n".join(block)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "('p000_dense_kernel', 'p001_dense_bias')" in done.stdout
