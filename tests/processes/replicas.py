"""An orchestrator of several processes on PostgreSQL and an S3-compatible store, behind one address."""

import asyncio
import contextlib
import itertools
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from federated.demo.processes import FEDELTA, stop
from orchestrator.signing import create_key
from tests.processes.federation import free_port, wait_for
from wire.operator import OperatorClient

_UP = re.compile(rb"^(?:Serving on|Working;)", re.MULTILINE)


class Balancer:
    """Hands each connection to the next replica that takes it, as a load balancer in front of them does."""

    def __init__(self, ports: list[int]) -> None:
        self.port = free_port()
        self._turns = itertools.cycle(range(len(ports)))
        self._ports = ports
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="balancer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()

    async def _serve(self) -> None:
        async with await asyncio.start_server(self._connect, "127.0.0.1", self.port):
            await self._stopped.wait()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = next(self._turns)
        for turn in range(len(self._ports)):
            try:
                replica = await asyncio.open_connection("127.0.0.1", self._ports[(first + turn) % len(self._ports)])
            except OSError:
                continue
            await asyncio.gather(_pump(reader, replica[1]), _pump(replica[0], writer))
            return
        writer.close()


class Replicas:
    """Web replicas and workers, each a process of its own that may be killed and started again."""

    def __init__(
        self, folder: Path, database_url: str, storage_url: str, environment: Mapping[str, str], webs: int, workers: int
    ) -> None:
        self._folder = folder
        self._shared = ("--database-url", database_url, "--storage-url", storage_url)
        self._environment = {**os.environ, **environment}
        self._stack = ExitStack()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._said_before: dict[str, int] = {}  # bytes in a process's log when it was last started
        self._ports = {f"web-{number}": free_port() for number in range(webs)}
        self.names = [*self._ports, *(f"worker-{number}" for number in range(workers))]
        self._key = folder / "plan-signing-key.pem"
        create_key(self._key)
        for name in self.names:
            self.start(name)
            if name == "web-0":
                wait_for(self._first_keys)
        (self.api_key,) = self._first_keys()
        self._balancer = Balancer(list(self._ports.values()))
        self._stack.callback(self._balancer.close)
        self.url = f"http://127.0.0.1:{self._balancer.port}"
        self.client = OperatorClient(self.url, self.api_key)
        wait_for(lambda: all(OperatorClient(f"http://127.0.0.1:{p}", "").ready() for p in self._ports.values()))

    def start(self, name: str) -> None:
        """Start a process, for the first time or again."""
        options = ["--data-dir", str(self._folder / name), *self._shared]
        if name in self._ports:
            options += ["--no-worker", "--port", str(self._ports[name]), "--signing-key", str(self._key)]
            options += ["--check-in-seconds", "0.5"]
        command = [sys.executable, *FEDELTA, "serve" if name in self._ports else "work", *options]
        log = self._stack.enter_context(self.log(name).open("ab"))
        self._said_before[name] = log.tell()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=self._environment
        )
        self._stack.callback(stop, process)
        self._processes[name] = process

    def wait_until_up(self, name: str) -> None:
        """Wait until a process that was started says that it works."""
        wait_for(lambda: _UP.search(self.log(name).read_bytes(), self._said_before[name]))

    def kill(self, name: str) -> None:
        """`kill -9`: nothing is finished, nothing is said."""
        self._processes[name].send_signal(signal.SIGKILL)
        self._processes[name].wait()

    def log(self, name: str) -> Path:
        """What a process said."""
        return self._folder / f"{name}.log"

    def close(self) -> None:
        """Stop everything."""
        self._stack.close()

    def _first_keys(self) -> list[str]:
        return re.findall(r"fdo_\w+", self.log("web-0").read_text())


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()
