"""Lets contestants take turns, each in its own process, and times their steps.

All are alive at once and train in turn, round after round, so that whatever slows the machine down slows all of them;
while one trains the others wait for a line of input and take no time.
"""

import json
import os
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
_WARM_UP_STEPS = 5


@dataclass(frozen=True)
class Entry:
    """A row of the table: its title, the contestant, and the Python whose environment it runs in."""

    title: str
    contestant: str
    python: Path
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Running:
    """A contestant's process, and what it has answered so far."""

    entry: Entry
    process: "subprocess.Popen[str]"
    figures: dict[str, Any]
    seconds_per_step: list[float] = field(default_factory=list)

    def ask(self, order: str) -> dict[str, Any]:
        """Send one line and wait for its answer; an end of the process is an answer too."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(order + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return {"unavailable": "its process ended"}
        return self.answer()

    def answer(self) -> dict[str, Any]:
        """The next line of JSON."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                document: dict[str, Any] = json.loads(line)
                return document
        return {"unavailable": f"its process ended with status {self.process.wait()}"}


def measure(entries: Sequence[Entry], case: str, file: Path, *, rounds: int, seconds: float) -> list[dict[str, Any]]:
    """The figures of every contestant for one model, a record each.

    Args:
        rounds: how often each has its turn.
        seconds: about how much CPU time a turn takes.
    """
    runnings = [_launch(entry, case, file) for entry in entries]
    alive = [running for running in runnings if "unavailable" not in running.figures]
    counts = {running.entry.title: _count(running, seconds) for running in alive}
    for _ in range(rounds):
        for running in alive:
            steps = counts[running.entry.title]
            answer = running.ask(f"steps {steps}")
            running.seconds_per_step.append(answer["cpu_seconds"] / steps)
            running.figures["peak_resident_bytes_training"] = answer["peak_resident_bytes"]
    for running in alive:
        running.figures["peak_resident_bytes_after_restore"] = running.ask("restore")["peak_resident_bytes"]
    for running in runnings:
        running.process.communicate()
    return [_record(running) for running in runnings]


def _launch(entry: Entry, case: str, file: Path) -> Running:
    """Start a contestant and wait for its first step, alone: its start is measured as well."""
    command = [str(entry.python), "-m", "benchmarks.contestant", entry.contestant, case, str(file), str(time.time())]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | dict(entry.environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    running = Running(entry, process, {})
    running.figures |= running.answer()
    return running


def _count(running: Running, seconds: float) -> int:
    """How many steps take about so many seconds, after a warm-up."""
    running.ask(f"steps {_WARM_UP_STEPS}")
    per_step = running.ask(f"steps {_WARM_UP_STEPS}")["cpu_seconds"] / _WARM_UP_STEPS
    return max(_WARM_UP_STEPS, int(seconds / max(per_step, 1e-6)))


def _record(running: Running) -> dict[str, Any]:
    record = {"title": running.entry.title, **running.figures}
    if times := running.seconds_per_step:
        record |= {
            "cpu_seconds_per_step_median": statistics.median(times),
            "cpu_seconds_per_step_min": min(times),
            "cpu_seconds_per_step_max": max(times),
        }
    return record
