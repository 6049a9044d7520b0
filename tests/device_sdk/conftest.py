"""A device with ten examples, enrolled with an orchestrator in memory."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from device_sdk import identity
from device_sdk.agent import Agent, Pass
from device_sdk.enrolment import enrol
from device_sdk.examples import ExampleStore
from device_sdk.journal import Journal
from device_sdk.state_dir import StateDir
from device_sdk.trainer import OnStep
from device_sdk.transport import Transport
from tests.device_sdk.memory_orchestrator import NOW, TOKEN, MemoryOrchestrator
from wire.tensors import Array


def linear_examples() -> dict[str, Array]:
    """Ten examples of the golden plan's collection."""
    x = np.random.Generator(np.random.PCG64(1)).normal(size=(10, 2)).astype(np.float32)
    return {"x": x, "y": x[:, 0] - x[:, 1]}


@dataclass
class Device:
    """A device whose process can end and start again: every pass is a new agent over the same state directory."""

    state: StateDir
    transport: Transport
    store: ExampleStore
    now: float = NOW
    elapsed: float = 0.0
    on_step: OnStep = field(default=lambda done, total: None)

    def agent(self) -> Agent:
        return Agent(
            self.state,
            identity.load(self.state),
            self.transport,
            self.store,
            now=lambda: self.now,
            elapsed=lambda: self.elapsed,
            on_step=self.on_step,
        )

    def run_once(self) -> Pass:
        return self.agent().run_once()

    @property
    def is_idle(self) -> bool:
        """Nothing is in flight."""
        return Journal(self.state).read() is None


@pytest.fixture
def orchestrator() -> MemoryOrchestrator:
    return MemoryOrchestrator()


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    made = StateDir(tmp_path / "state")
    made.make()
    return made


@pytest.fixture
def store(state: StateDir) -> Iterator[ExampleStore]:
    opened = ExampleStore(state.examples)
    yield opened
    opened.close()


@pytest.fixture
def device(state: StateDir, store: ExampleStore, orchestrator: MemoryOrchestrator) -> Device:
    store.append("default", linear_examples())
    enrol(state, orchestrator, url="https://in.memory", token=TOKEN, attributes={"split": "train"})
    orchestrator.calls.clear()
    return Device(state, orchestrator, store)
