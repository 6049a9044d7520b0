"""A real orchestrator on the loopback: its own folder, its own clock, stopped and started as a test wants."""

import asyncio
import shutil
import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import uvicorn

from orchestrator.app import create_app, open_context
from orchestrator.context import Context
from orchestrator.settings import Settings
from tests.golden.make_plans import LINEAR
from tests.orchestrator.device import Device
from tests.orchestrator.http import Connections
from wire.operator import OperatorClient
from wire.operator_messages import EnrolmentTokenRequest, RoundPolicy, RoundView, TaskRequest, TaskView

T = TypeVar("T")

PATIENCE_SECONDS = 20.0


class Clock:
    """Time that passes when a test says so."""

    def __init__(self, now: float = 2_000_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def until(condition: Callable[[], T | None]) -> T:
    """What a condition gives as soon as it gives something; the server's own threads bring it about."""
    patience = time.monotonic() + PATIENCE_SECONDS
    while not (found := condition()):
        assert time.monotonic() < patience, "it never came true"
        time.sleep(0.002)
    return found


class Orchestrator:
    """See the module's description.

    Args:
        api_key: of the first start, where the folder is a copy of another orchestrator's.
        tracer_provider: where spans of requests go, if any are made.
        settings: other ones than a test's usual.
    """

    def __init__(
        self,
        folder: Path,
        clock: Clock | None = None,
        api_key: str = "",
        tracer_provider: Any = None,
        **settings: Any,
    ) -> None:
        self.folder = folder
        self.clock = clock or Clock()
        self.connections = Connections()
        self.url = ""
        self._api_key = api_key
        self._tracer_provider = tracer_provider
        self._settings = replace(Settings(folder, tick_seconds=0.05, check_in_seconds=5.0), **settings)

    def start(self, *, worker: bool = True) -> None:
        """Serve. Without a worker, devices and operators are answered but no round moves by itself."""
        context, self.secrets = open_context(self._settings, self.clock)
        if self.secrets is not None:
            self._api_key = self.secrets.api_key
        self.context: Context = context
        self.app = create_app(self.context, self._tracer_provider)
        config = uvicorn.Config(
            self.app,
            lifespan="on" if worker else "off",
            ws="none",
            log_level="critical",
            timeout_graceful_shutdown=1,
        )
        self._worker = worker
        self._server = uvicorn.Server(config)
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._thread = threading.Thread(target=asyncio.run, args=(self._serve(),), name="orchestrator")
        self._thread.start()
        until(lambda: self._server.started)

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        await self._server.serve([self._listening])

    def stop(self) -> None:
        """Stop serving."""
        self.connections.close()
        self._server.should_exit = True
        self._thread.join()
        self._listening.close()
        if not self._worker:
            self.context.database.close()
            self.context.data_dir_lock.close()

    def restart(self, *, worker: bool = True) -> None:
        """Stop, and start over the same folder."""
        self.stop()
        self.start(worker=worker)

    def copy_as_if_killed(self, folder: Path) -> "Orchestrator":
        """Another orchestrator over what is on this one's disk now: what a killed process leaves behind."""
        try:
            shutil.copytree(self.folder, folder)
        except shutil.Error as error:
            # What was deleted while it was copied is missing there as well.
            if any(Path(source).exists() for source, _, _ in error.args[0]):
                raise
        return Orchestrator(folder, Clock(self.clock.now), self._api_key)

    @property
    def api_key(self) -> str:
        return self._api_key

    @property
    def operator(self) -> OperatorClient:
        return OperatorClient(self.url, self._api_key)

    def dump(self) -> list[str]:
        """Everything that the database holds, but what it notes of the store before anything is decided."""
        self.context.database.submit(self.context.attendance.write).result()
        notes = ('INSERT INTO "blobs"', 'INSERT INTO "uploads"')
        with closing(sqlite3.connect(self.folder / "fedelta.db")) as connection:
            return [line for line in connection.iterdump() if not line.startswith(notes)]

    def population(self, name: str) -> "Population":
        """A new population of this name."""
        self.operator.add_population(name)
        return Population(self, name)


class Population:
    """A population with its devices and tasks, apart from those of other tests on the same orchestrator."""

    def __init__(self, orchestrator: Orchestrator, name: str) -> None:
        self.orchestrator = orchestrator
        self.name = name

    @property
    def operator(self) -> OperatorClient:
        return self.orchestrator.operator

    def token(self, uses: int = 1, **fields: Any) -> str:
        """A new enrolment token."""
        return self.operator.mint_token(EnrolmentTokenRequest(self.name, uses, **fields)).token

    def stranger(self) -> Device:
        """A device that is not enrolled."""
        return Device(self.orchestrator.url, self.orchestrator.connections)

    def device(self) -> Device:
        """An enrolled device with a session."""
        device = self.stranger()
        device.enrol(self.token())
        device.open_session()
        return device

    def devices(self, count: int) -> list[Device]:
        return [self.device() for _ in range(count)]

    def cancel_tasks(self) -> None:
        """Cancel what is still running. A task that reads another ends with it, so it goes first."""
        query = "SELECT task_id FROM tasks WHERE population = ? AND state = 'running' ORDER BY reads IS NULL"
        with closing(sqlite3.connect(self.orchestrator.folder / "fedelta.db")) as connection:
            running = [task_id for (task_id,) in connection.execute(query, (self.name,))]
        for task_id in running:
            self.operator.cancel(task_id)

    def push(self, **policy: Any) -> TaskView:
        """A task that trains with the golden plan, whose first round is open."""
        request = TaskRequest("linear", self.name, policy=RoundPolicy(**policy))
        task = self.operator.push(request, plan=LINEAR.read_bytes())
        self.round_in(task.task_id, 1, "selection")
        return task

    def evaluate(self, task_id: str, **policy: Any) -> TaskView:
        """A task that evaluates the checkpoints of another."""
        return self.operator.push(TaskRequest("evaluation", self.name, policy=RoundPolicy(**policy), reads=task_id))

    def round_in(self, task_id: str, round_number: int, state: str) -> RoundView:
        """A round, as soon as it is in this state."""

        def look() -> RoundView | None:
            rounds = self.operator.rounds(task_id)
            return next((found for found in rounds if (found.round_number, found.state) == (round_number, state)), None)

        return until(look)

    def task_in(self, task_id: str, state: str) -> TaskView:
        """A task, as soon as it is in this state."""

        def look() -> TaskView | None:
            task = self.operator.task(task_id)
            return task if task.state == state else None

        return until(look)
