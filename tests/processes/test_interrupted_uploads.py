"""An update of some megabytes goes on where it was cut, whoever was interrupted: the network, the agent, the server."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from federated.demo.processes import FEDELTA
from tests.processes.federation import Device, Federation, wait_for
from tests.proxy import Proxy, proxying
from wire.operator_messages import RoundPolicy, TaskRequest, TaskView

pytestmark = [
    pytest.mark.processes,
    pytest.mark.tensorflow,
    pytest.mark.timeout(300),
    # Keras 3.15 copies its variables with np.array, whose copy keyword TensorFlow 2.21's variables do not know yet.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]

UPDATE_BYTES = 4 * (800 * 2000 + 2000 + 2000 * 3 + 3)  # and some more for names
CUT_BYTES = 5_000_000
# What was on its way when a connection ended is sent again: what the web server had not read, and what sockets hold.
LOST_BYTES = 3_000_000


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A model of 1.6 million parameters."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    keras: Any = pytest.importorskip("keras")
    folder: Path = tmp_path_factory.mktemp("large")
    layers = [keras.Input((800,)), keras.layers.Dense(2000, activation="relu"), keras.layers.Dense(3)]
    keras.Sequential(layers).save(folder / "large.keras")
    command = [sys.executable, *FEDELTA, "export", str(folder / "large.keras"), "--out", str(folder / "large.plan")]
    options = ["--loss", "mean_squared_error", "--metric", "mean_squared_error"]
    subprocess.run([*command, *options], check=True, capture_output=True)
    return (folder / "large.plan").read_bytes()


@pytest.fixture
def proxy(federation: Federation) -> Iterator[Proxy]:
    """The way that the device takes to the server."""
    with proxying(federation.port) as made:
        yield made


@pytest.fixture
def task(federation: Federation, plan: bytes) -> TaskView:
    """A task for one device."""
    return federation.client.push(TaskRequest("large", policy=RoundPolicy(rounds=1, cohort=1)), plan=plan)


@pytest.fixture
def device(federation: Federation, proxy: Proxy, task: TaskView) -> Device:
    """The device, which is enrolled by way of the proxy."""
    generator = np.random.default_rng(1)
    examples = {"x": generator.normal(size=(20, 800)), "y": generator.normal(size=(20, 3))}
    federation.url = proxy.url
    return federation.enrol("device", {name: values.astype(np.float32) for name, values in examples.items()})


def test_an_update_gets_through_connections_that_are_each_too_short_for_it(
    federation: Federation, proxy: Proxy, task: TaskView, device: Device
) -> None:
    proxy.room_bytes = 2_500_000
    federation.start_device(device)
    assert federation.wait_for_end(task).state == "completed"
    assert proxy.passed_bytes > UPDATE_BYTES


def test_an_agent_that_is_killed_sends_only_the_rest(
    federation: Federation, proxy: Proxy, task: TaskView, device: Device
) -> None:
    proxy.pause_seconds = 0.005
    agent = federation.start_device(device)
    wait_for(lambda: proxy.passed_bytes > CUT_BYTES)
    agent.kill()
    agent.wait()
    check_goes_on(federation, proxy, task, device)


def test_a_server_that_is_killed_asks_only_for_the_rest(
    federation: Federation, proxy: Proxy, task: TaskView, device: Device
) -> None:
    proxy.pause_seconds = 0.005
    agent = federation.start_device(device)
    wait_for(lambda: proxy.passed_bytes > CUT_BYTES)
    federation.kill_server()
    agent.kill()
    agent.wait()
    federation.start_server()
    check_goes_on(federation, proxy, task, device)


def check_goes_on(federation: Federation, proxy: Proxy, task: TaskView, device: Device) -> None:
    """The update arrives, and less was sent than from its beginning on."""
    before = proxy.passed_bytes
    assert before < UPDATE_BYTES
    proxy.pause_seconds = 0.0
    device.run("once")
    assert federation.wait_for_end(task).state == "completed"
    assert proxy.passed_bytes - before < UPDATE_BYTES - CUT_BYTES + LOST_BYTES
    assert len(federation.client.checkpoints(task.task_id)) == 2
