"""A disk that does not flush: nothing is acknowledged that it does not have, and all goes on when it is well again."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.golden.make_plans import LINEAR
from tests.processes.federation import Federation, linear_examples, wait_for
from wire.operator_messages import RoundPolicy, TaskRequest

pytestmark = [
    pytest.mark.processes,
    pytest.mark.timeout(120),
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace makes the disk fail; install it"),
]


@contextmanager
def flushes_fail(pid: int, calls: str) -> Iterator[None]:
    """Let a process's flushes fail with an input/output error."""
    command = ["strace", "-f", "-p", str(pid), "-e", f"trace={calls}", "-e", f"inject={calls}:error=EIO"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
        assert strace.stderr is not None
        line = strace.stderr.readline()
        if "attached" not in line:
            strace.kill()
            pytest.skip(f"strace may not attach here: {line.strip()}")
        try:
            yield
        finally:
            strace.terminate()
            strace.communicate()


# The store flushes with fsync, SQLite its write-ahead log with fdatasync.
@pytest.mark.parametrize("calls", ["fsync", "fdatasync"])
def test_what_the_disk_did_not_take_is_not_acknowledged(federation: Federation, calls: str) -> None:
    task = federation.client.push(
        TaskRequest("linear", policy=RoundPolicy(rounds=1, cohort=1)), plan=LINEAR.read_bytes()
    )
    wait_for(lambda: federation.rounds(task))
    device = federation.enrol("device", linear_examples(0))
    with flushes_fail(federation.server_pid, calls):
        refused = subprocess.run(device.command("once"), capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode != 0
    assert "503" in refused.stderr, refused.stderr
    assert federation.rounds(task)[0].reported == 0
    assert "reported round 1: completed" in device.run("once")
    assert federation.wait_for_end(task).state == "completed"
    assert federation.rounds(task)[0].reported == 1
