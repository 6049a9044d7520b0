"""What other processes have taken, as the kernel counts it."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from benchmarks import processes

pytestmark = pytest.mark.processes
MEBIBYTE = 1 << 20
_CHILD = "held = b'1' * (64 << 20); print(flush=True); input()"
_PARENT = f"""
import subprocess, sys, time
subprocess.run([sys.executable, "-c", "import time\\nwhile time.process_time() < 0.2: pass"], check=True)
while time.process_time() < 0.2: pass
subprocess.run([sys.executable, "-c", {_CHILD!r}], check=True)
"""


@pytest.fixture
def parent() -> Iterator[int]:
    """A process that has computed, whose ended child has as well, and whose living child holds 64 MiB."""
    with subprocess.Popen([sys.executable, "-c", _PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.communicate(b"\n")


def test_a_family_is_a_process_and_its_children(parent: int) -> None:
    assert processes.family(parent)[0] == parent
    assert len(processes.family(parent)) == 2


def test_what_ended_children_took_is_counted(parent: int) -> None:
    assert processes.cpu_seconds([parent]) >= 0.35


def test_the_most_memory_is_each_process_own(parent: int) -> None:
    of_parent, of_child = (processes.peak_bytes(pid) for pid in processes.family(parent))
    assert of_child - of_parent > 50 * MEBIBYTE


def test_a_process_that_has_ended_takes_nothing() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert processes.cpu_seconds([process.pid]) == 0
