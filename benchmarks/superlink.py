"""What an update costs Flower's SuperLink, for `benchmarks.orchestrator`: the same rounds over the loopback.

A SuperLink keeps its state in memory, its default, and its server app averages with Flower's own `FedAvg`. The nodes
are `benchmarks.superlink_nodes`: Flower's client library, in one process, with the three seconds that a SuperNode rests
when it finds no message. The server is every process that the SuperLink starts: itself, SuperExec, and the server app,
which does the averaging. Its CPU time is counted from the first message of the second round to the first of a later
one: whole rounds, and nothing of its start.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import processes
from benchmarks.measure import ROOT

_START_SECONDS = 120.0
_OFFLINE = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}
_CONFIGURATION = """
[superlink]
default = "benchmark"
[superlink.benchmark]
address = "{address}"
insecure = true
"""
_APP = """
[project]
name = "dense"
version = "1.0.0"
license = {{ file = "LICENSE" }}
dependencies = ["flwr>={version}"]
[tool.flwr.app]
publisher = "benchmark"
fab-format-version = 1
flwr-version-target = "{version}"
[tool.flwr.app.components]
serverapp = "superlink_app:server"
clientapp = "superlink_app:client"
[tool.flwr.app.config]
nodes = {nodes}
rounds = {rounds}
inputs = {inputs}
outputs = {outputs}
"""


@dataclass(frozen=True)
class SuperLink:
    """A SuperLink that runs, and the environment of whatever talks to it."""

    process: "subprocess.Popen[bytes]"
    address: str
    folder: Path
    programs: Path
    environment: Mapping[str, str]

    def start(self, version: str, nodes: int, rounds: int, shape: tuple[int, int]) -> None:
        """Begin to hold rounds."""
        app = self.folder / "app"
        app.mkdir()
        shutil.copy(ROOT / "benchmarks/superlink_app.py", app)
        shutil.copy(ROOT / "LICENSE", app)
        inputs, outputs = shape
        settings = _APP.format(version=version, nodes=nodes, rounds=rounds, inputs=inputs, outputs=outputs)
        (app / "pyproject.toml").write_text(settings)
        subprocess.run([self.programs / "flwr", "run", app], env=self.environment, check=True, capture_output=True)

    def cpu_seconds(self) -> float:
        """What all its processes have taken so far."""
        return processes.cpu_seconds(processes.family(self.process.pid))

    def peak_bytes(self) -> int:
        """The most memory that each of its processes has had, in all."""
        return sum(processes.peak_bytes(pid) for pid in processes.family(self.process.pid))


@contextmanager
def serving(python: Path) -> Iterator[SuperLink]:
    """A SuperLink of the environment of this Python, until the end of the block."""
    programs = python.absolute().parent
    with tempfile.TemporaryDirectory(prefix="fedelta-benchmark-") as name:
        folder = Path(name)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = str(listening.getsockname()[1])
        (folder / "config.toml").write_text(_CONFIGURATION.format(address=f"127.0.0.1:{port}"))
        search = {"FLWR_HOME": name, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
        environment = os.environ | _OFFLINE | search
        options = ["--insecure", "--port", port, "--disable-runtime-dependency-installation"]
        with (folder / "superlink.log").open("wb") as log:  # of all its processes
            process = subprocess.Popen(
                [programs / "flower-superlink", *options], env=environment, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            _wait_until_started(process, folder / "superlink.log")
            yield SuperLink(process, f"127.0.0.1:{port}", folder, programs, environment)
        finally:
            _end(processes.family(process.pid))
            process.wait()


class Nodes:
    """The nodes' process."""

    def __init__(self, python: Path, server: SuperLink, count: int, shape: tuple[int, int]) -> None:
        arguments = ("-m", "benchmarks.superlink_nodes", server.address, *map(str, (count, *shape)))
        self._process = subprocess.Popen(
            [python, *arguments],
            cwd=ROOT,
            env=server.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def tell(self, order: str) -> None:
        """Give an order."""
        assert self._process.stdin is not None
        self._process.stdin.write(order + "\n")
        self._process.stdin.flush()

    def hears(self, name: str, value: int | None = None) -> dict[str, int]:
        """Wait for an answer that has this name, and this value."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer: dict[str, int] = json.loads(line) if line.startswith("{") else {}
            if "failed" in answer:
                raise ChildProcessError(
                    f"a node failed in round {answer['failed']}, which would wait for it for an hour"
                )
            if name in answer and value in (None, answer[name]):
                return answer
        raise ChildProcessError(f"the nodes' process ended with status {self._process.wait()}")

    def close(self) -> None:
        """End them all."""
        self._process.kill()
        self._process.communicate()


def measured(
    python: Path, models: Mapping[str, tuple[int, int]], nodes: int, rounds: int, pulls: int
) -> dict[str, Any]:
    """The figures of one run.

    Args:
        python: of an environment with `flwr`.
        models: inputs and outputs of one dense layer, by the size of its update.
        rounds: that are counted.
        pulls: requests of idle nodes for the figure of one.
    """
    version = subprocess.run(
        [python, "-c", "import flwr; print(flwr.__version__)"], check=True, capture_output=True, text=True
    ).stdout.strip()
    idle = _idle(python, nodes, pulls)
    records = [
        {"update": f"{name}, SuperLink {version}"} | _updates(python, version, shape, nodes, rounds)
        for name, shape in models.items()
    ]
    return {"version": version, "records": records, "idle_pull_cpu_seconds": idle}


def _updates(python: Path, version: str, shape: tuple[int, int], count: int, rounds: int) -> dict[str, Any]:
    with serving(python) as server, closing(Nodes(python, server, count, shape)) as nodes:
        nodes.hears("nodes")
        nodes.tell("work")
        server.start(version, count, rounds + 2, shape)
        nodes.hears("round", 2)
        cpu, begun = server.cpu_seconds(), time.monotonic()
        nodes.hears("round", rounds + 2)
        cpu, seconds = server.cpu_seconds() - cpu, time.monotonic() - begun
        peak = server.peak_bytes()
    updates = count * rounds
    return {
        "devices": count,
        "updates": updates,
        "cpu_seconds_per_update": cpu / updates,
        "updates_per_second": updates / seconds,
        "peak_resident_bytes": peak,
    }


def _idle(python: Path, count: int, pulls: int) -> float:
    with serving(python) as server, closing(Nodes(python, server, count, (1, 1))) as nodes:
        nodes.hears("nodes")
        cpu = server.cpu_seconds()
        nodes.tell(f"pull {pulls}")
        assert nodes.hears("pulls") == {"pulls": pulls, "messages": 0}
        return (server.cpu_seconds() - cpu) / pulls


def _wait_until_started(process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait for SuperExec, which the SuperLink starts last."""
    deadline = time.monotonic() + _START_SECONDS
    while b"Starting Flower SuperExec" not in log.read_bytes():
        if process.poll() is not None or time.monotonic() > deadline:
            raise ChildProcessError(f"the SuperLink did not start: {log.read_text()}")
        time.sleep(0.1)


def _end(pids: list[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
