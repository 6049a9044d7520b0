"""The demo's server and devices as processes, started and surely stopped."""

import os
import re
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

_STOP_SECONDS = 10.0
_START_SECONDS = 60.0
_ADDRESS = re.compile(r"Serving on (http://\S+);")
_API_KEY = re.compile(r"operator API key\s+(\S+)")

FEDELTA = ("-m", "federated")
DEVICE = ("-m", "device_sdk")


class DemoProcessError(Exception):
    """A process of the demo did not do its part; the message ends with the last of what it said."""


@dataclass(frozen=True)
class Server:
    """A running orchestrator."""

    url: str
    api_key: str
    process: "subprocess.Popen[bytes]"


class Processes:
    """Starts processes that log into one folder, and stops them all when it is left."""

    def __init__(self, log_dir: Path) -> None:
        self._log_dir = log_dir
        self._stack = ExitStack()
        log_dir.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self, name: str, *arguments: str) -> "subprocess.Popen[bytes]":
        """Start a Python process with these arguments."""
        log = self._stack.enter_context(self._log(name).open("ab"))
        process = subprocess.Popen(  # noqa: S603 - our own commands
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=_environment(),
            start_new_session=True,  # Ctrl-C reaches the demo alone, which then stops its processes
        )
        self._stack.callback(stop, process)
        return process

    def finish(self, name: str, process: "subprocess.Popen[bytes]") -> None:
        """Wait for a process that ends by itself.

        Raises:
            DemoProcessError: it failed.
        """
        if process.wait() != 0:
            raise DemoProcessError(f"{name} ended with status {process.returncode}: {self._last_words(name)}")

    def start_server(self, data_dir: Path, check_in_seconds: float) -> Server:
        """Start an orchestrator on a free port, and wait until it says where it is.

        Raises:
            DemoProcessError: it did not start.
        """
        process = self.start(
            "server",
            *FEDELTA,
            "serve",
            "--data-dir",
            str(data_dir),
            "--port",
            "0",
            "--check-in-seconds",
            str(check_in_seconds),
        )
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            said = self._log("server").read_text()
            address, api_key = _ADDRESS.search(said), _API_KEY.search(said)
            if address and api_key:
                return Server(address[1], api_key[1], process)
            time.sleep(0.05)
        raise DemoProcessError(f"the orchestrator did not start: {self._last_words('server')}")

    def keep(self) -> None:
        """Leave the processes running that still are."""
        self._stack.pop_all()

    def _log(self, name: str) -> Path:
        return self._log_dir / f"{name}.log"

    def _last_words(self, name: str) -> str:
        return " / ".join(self._log(name).read_text(errors="replace").strip().splitlines()[-3:])


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End a process: politely, then surely."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _environment() -> dict[str, str]:
    # Several processes share few cores: one thread each.
    return os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
