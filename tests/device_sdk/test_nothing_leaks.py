"""Raw data never leaves the device, and the agent never loads what a small device does not have."""

import logging
import struct
import subprocess
import sys

import numpy as np
import pytest

from tests.device_sdk.conftest import Device
from tests.device_sdk.memory_orchestrator import BROADCAST, MemoryOrchestrator
from wire.messages import Outcome
from wire.tensors import Array

# Numbers that are easy to find again, as bytes or as text.
MARKED = np.array([[98.765, 43.219], [76.543, 21.987]], np.float32)


def traces(array: Array) -> list[bytes]:
    """How a value would look on the wire: its four bytes, or the first digits of its text."""
    values = [float(value) for value in array.ravel()]
    return [struct.pack("<f", value) for value in values] + [f"{value:.3f}".encode() for value in values]


def mark(device: Device) -> None:
    device.store.append("default", {"x": MARKED, "y": MARKED[:, 0] * 3})


@pytest.mark.parametrize("work", ["train", "evaluate"])
def test_no_example_is_in_what_is_sent(device: Device, orchestrator: MemoryOrchestrator, work: str) -> None:
    mark(device)
    broadcast = {name: BROADCAST[name] for name in BROADCAST if work == "train" or name in ("w", "b")}
    orchestrator.assign(work=work, broadcast=broadcast)
    assert device.run_once().outcome is Outcome.COMPLETED
    sent = b"\n".join(orchestrator.sent)
    assert not [trace for trace in traces(MARKED) if trace in sent]


def test_the_traces_would_be_found(device: Device) -> None:
    mark(device)
    kept = b"".join(path.read_bytes() for path in device.state.path.glob("examples.sqlite*"))
    found = [trace for trace in traces(MARKED) if trace in kept]
    assert len(found) == MARKED.size


def test_no_example_is_in_a_failures_reason_or_the_log(
    device: Device, orchestrator: MemoryOrchestrator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    mark(device)
    orchestrator.assign(broadcast=BROADCAST | {"w": np.full(2, np.nan, np.float32)})
    assert device.run_once().outcome is Outcome.FAILED
    sent = b"\n".join(orchestrator.sent) + caplog.text.encode()
    assert not [trace for trace in traces(MARKED) if trace in sent]


def test_the_exact_number_of_examples_is_not_sent(device: Device, orchestrator: MemoryOrchestrator) -> None:
    device.run_once()
    (check_in,) = orchestrator.check_ins
    assert len(device.store.collection("default")) == 10
    assert check_in.collections[0].examples_about == 8


def test_the_agent_loads_nothing_that_a_device_lacks() -> None:
    program = """
import sys
import device_sdk.cli
heavy = {"tensorflow", "keras", "pydantic", "fastapi", "sqlalchemy", "orchestrator", "model_export", "federated"}
sys.exit(", ".join(sorted(heavy & set(sys.modules))) or 0)
"""
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
