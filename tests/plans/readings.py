"""The plans of `tests.golden.make_analytics`, some devices for them, and what they compute, in numpy."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from plans import bundle, client, server
from plans.accumulators.work import WorkAccumulator
from plans.bundle import Plan
from plans.client import Examples
from plans.manifest import Work
from plans.program import Program
from plans.server import Updated
from tests.golden.make_analytics import DEVIATION, HEADCOUNT, OFFSET, READINGS, SPREAD_BATCH_SIZE, THRESHOLD
from wire.tensors import Array, Tensors

PLAN: Plan = bundle.unpack(READINGS.read_bytes())
WORK: Work = PLAN.manifest.work("readings")
BROADCAST = {"threshold": np.array(THRESHOLD, np.float32)}
COUNTING: Plan = bundle.unpack(HEADCOUNT.read_bytes())
PHASES: Plan = bundle.unpack(DEVIATION.read_bytes())


@dataclass(frozen=True)
class Column:
    """One field's examples, in memory."""

    name: str
    values: Array

    def __len__(self) -> int:
        return len(self.values)

    def read(self, indices: Sequence[int]) -> dict[str, Array]:
        return {self.name: self.values[indices]}


@dataclass(frozen=True)
class Station:
    """What one device has measured."""

    celsius: Array  # [readings] float32
    percent: Array  # [readings] int32

    @property
    def examples(self) -> dict[str, Examples]:
        return {"temperature": Column("celsius", self.celsius), "battery": Column("percent", self.percent)}

    @property
    def squares(self) -> float:
        """How far the readings are from their mean, without those that fill no batch."""
        whole = len(self.celsius) - len(self.celsius) % SPREAD_BATCH_SIZE
        readings = self.celsius.astype(np.float64)
        return float(((readings[:whole] - readings.mean()) ** 2).sum())


def stations(*counts: int, seed: int = 1) -> list[Station]:
    """Devices with so many readings each, around 25 degrees."""
    random = np.random.Generator(np.random.PCG64(seed))
    return [
        Station(
            celsius=random.normal(25, 5, count).astype(np.float32),
            percent=random.integers(0, 100, 3).astype(np.int32),
        )
        for count in counts
    ]


def expected(devices: Sequence[Station]) -> dict[str, Any]:
    """The result over these devices, in float64."""
    readings = np.concatenate([device.celsius for device in devices]).astype(np.float64)
    levels = [int(device.percent[-1]) for device in devices]
    with np.errstate(invalid="ignore", divide="ignore"):
        excess = np.log(readings.max() - THRESHOLD)
    return {
        "mean": readings.mean() + OFFSET,
        "squares": sum(device.squares for device in devices),
        "highest": readings.max(),
        "excess": excess,
        "count": len(readings),
        "span": max(levels) - min(levels),
        "ticks": sum(len(device.percent) for device in devices),
    }


def computed(plan: Plan, devices: Sequence[dict[str, Examples]], state: Tensors | None = None) -> Updated:
    """What the plan's phases come to over these devices, as a host of both programs runs them."""
    clients, servers = Program(plan.client), Program(plan.server)
    updated = Updated({}, {}, {}, {})
    for phase in plan.manifest.phases:
        (work,) = phase.works.values()
        carried = updated.carried
        start = server.prepare(servers, plan.manifest, work, state or plan.initial, carried=carried)
        running = WorkAccumulator(work, max(len(devices), 1), servers)
        for index, examples in enumerate(devices):
            running.accumulate(client.run(clients, work, start.broadcast, examples, seed=index).update)
        updated = server.update(
            servers,
            plan.manifest,
            work,
            state or plan.initial,
            running.finalize(),
            temp=start.temp,
            carried=carried,
        )
    return updated
