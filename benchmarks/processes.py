"""What other processes have taken of the machine, as Linux counts it in `/proc`."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """A process and all that descend from it and live."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        if fields := _stat(int(folder.name)):
            children.setdefault(int(fields[1]), []).append(int(folder.name))
    found = [pid]
    for member in found:  # grows meanwhile
        found += children.get(member, [])
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of processes, and of their children that have ended."""
    return sum(int(ticks) for pid in pids for ticks in _stat(pid)[11:15]) / _TICKS


def peak_bytes(pid: int) -> int:
    """The most memory that a process has had at once."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) << 10


def _stat(pid: int) -> list[str]:
    """The fields of `/proc/PID/stat` from the state on; none of a process that has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return []
