"""A server and its devices, each a process of its own, under a test's folder."""

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

import numpy as np

from federated.demo.processes import DEVICE, FEDELTA, stop
from wire.operator import OperatorClient
from wire.operator_messages import EnrolmentTokenRequest, RoundView, TaskView
from wire.tensors import Array

T = TypeVar("T")

WAIT_SECONDS = 60.0


class Federation:
    """Starts processes under one folder; `close` ends them all."""

    def __init__(self, folder: Path, server_python: str = sys.executable) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._python = server_python
        self._stack = ExitStack()
        self._server: subprocess.Popen[bytes] | None = None
        self.start_server()
        api_key = re.search(r"fdo_\w+", self.log("server").read_text())
        assert api_key is not None
        self.api_key = api_key[0]
        self.client = OperatorClient(self.url, self.api_key)

    def start_server(self) -> None:
        """Start the orchestrator, for the first time or again, and wait until it is ready."""
        options = ("--data-dir", str(self.folder / "server"), "--port", str(self.port), "--check-in-seconds", "0.3")
        self._server = self._start("server", self._python, *FEDELTA, "serve", *options)
        wait_for(lambda: OperatorClient(self.url, "nobody").ready())

    @property
    def server(self) -> "subprocess.Popen[bytes]":
        """The orchestrator's process."""
        assert self._server is not None
        return self._server

    def kill_server(self) -> None:
        """`kill -9`: nothing is finished, nothing is said."""
        assert self._server is not None
        self._server.send_signal(signal.SIGKILL)
        self._server.wait()

    @property
    def server_pid(self) -> int:
        """The process of the orchestrator."""
        assert self._server is not None
        return self._server.pid

    def enrol(
        self, name: str, examples: dict[str, Array], python: str = sys.executable, collection: str = "default"
    ) -> "Device":
        """Enrol a device and import its examples."""
        token = self.client.mint_token(EnrolmentTokenRequest()).token
        device = Device(self, name, python)
        device.run("enrol", "--url", self.url, "--token", token)
        device.import_examples(collection, examples)
        return device

    def start_device(self, device: "Device") -> "subprocess.Popen[bytes]":
        """Start a device that works until it is stopped."""
        return self._start(device.name, *device.command("run"))

    def rounds(self, task: TaskView) -> tuple[RoundView, ...]:
        """The task's rounds."""
        return self.client.rounds(task.task_id)

    def wait_for_end(self, task: TaskView) -> TaskView:
        """Wait until a task has ended."""
        wait_for(lambda: self.client.task(task.task_id).state != "running")
        return self.client.task(task.task_id)

    def log(self, name: str) -> Path:
        """What a process said."""
        return self.folder / f"{name}.log"

    def close(self) -> None:
        """Stop every process."""
        self._stack.close()

    def _start(self, name: str, *command: str) -> "subprocess.Popen[bytes]":
        log = self._stack.enter_context(self.log(name).open("ab"))
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        self._stack.callback(stop, process)
        return process


class Device:
    """A device's state folder, and the command that works on it."""

    def __init__(self, federation: Federation, name: str, python: str) -> None:
        self.name = name
        self._python = python
        self._folder = federation.folder
        self._state_dir = federation.folder / name

    def import_examples(self, collection: str, examples: dict[str, Array]) -> None:
        """Put examples into one of the device's collections."""
        path = self._folder / f"{self.name}-{collection}.npz"
        np.savez(path, allow_pickle=False, **examples)
        self.run("data", "import", str(path), "--collection", collection)

    def command(self, *arguments: str) -> Sequence[str]:
        """The command line of a sub-command."""
        return (self._python, *DEVICE, *arguments, "--state-dir", str(self._state_dir))

    def run(self, *arguments: str) -> str:
        """Run a sub-command to its end, which must be a good one; what it said."""
        done = subprocess.run(self.command(*arguments), capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def wait_for(condition: Callable[[], T], seconds: float = WAIT_SECONDS) -> T:
    """Wait until a condition holds, and give its value."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"it did not come true in {seconds} s")


def linear_examples(seed: int, count: int = 13) -> dict[str, Array]:
    """Examples for `tests/golden/linear.plan`: y = x . (1, -2) + 0.5."""
    x = np.random.default_rng(seed).normal(size=(count, 2)).astype(np.float32)
    return {"x": x, "y": (x @ np.array([1, -2], np.float32) + np.float32(0.5)).astype(np.float32)}
