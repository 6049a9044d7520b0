"""The golden plan, some examples for it, and what it computes, in numpy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from plans import bundle
from plans.bundle import Plan
from plans.manifest import Manifest, Phase, Work
from tests.golden.make_plans import BATCH_SIZE, LINEAR
from wire.tensors import Array

PLAN: Plan = bundle.unpack(LINEAR.read_bytes())
TRAIN: Work = PLAN.manifest.work("train")
(PASS,) = TRAIN.passes
SELECTOR = PASS.selector
STATE: Mapping[str, Array] = {
    "w": np.array([1, 2], np.float32),
    "b": np.array(3, np.float32),
    "client_learning_rate": np.array(0.1, np.float32),
    "server_learning_rate": np.array(0.5, np.float32),
}
BROADCAST = {name: STATE[name] for name in ("w", "b", "client_learning_rate")}


@dataclass(frozen=True)
class Rows:
    """Examples in memory."""

    x: Array  # [examples, 2] float32
    y: Array  # [examples] float32

    def __len__(self) -> int:
        return len(self.x)

    def read(self, indices: Sequence[int]) -> dict[str, Array]:
        return {"x": self.x[indices], "y": self.y[indices]}


def rows(count: int, seed: int = 1) -> Rows:
    """Some examples of a plane."""
    x = np.random.Generator(np.random.PCG64(seed)).normal(size=(count, 2)).astype(np.float32)
    return Rows(x, x[:, 0] - x[:, 1])


def trained(examples: Rows, batches: Sequence[Sequence[int]], learning_rate: float = 0.1) -> dict[str, Any]:
    """The update and the metrics of one client, from `STATE`, in float64."""
    w, b, loss_sum, count = STATE["w"].astype(np.float64), float(STATE["b"]), 0.0, 0
    for indices in batches:
        x, y = examples.x[indices].astype(np.float64), examples.y[indices].astype(np.float64)
        error = x @ w + b - y
        loss_sum, count = loss_sum + float(error @ error), count + len(x)
        w = w - learning_rate * 2 * (error @ x) / len(x)
        b = b - learning_rate * 2 * float(error.mean())
    update = {"w": (w - STATE["w"]) * count, "b": (b - float(STATE["b"])) * count, "weight": float(count)}
    return update | {"loss_sum": loss_sum, "loss_count": float(count)}


def in_order(count: int, epochs: int = 1) -> Sequence[Sequence[int]]:
    """The batches of a selector that shuffles nothing."""
    return [list(range(start, min(start + BATCH_SIZE, count))) for start in range(0, count, BATCH_SIZE)] * epochs


def with_work(name: str = "train", **changes: Any) -> Manifest:
    """The golden manifest with some fields of one work changed."""
    works = PLAN.manifest.works | {name: replace(PLAN.manifest.work(name), **changes)}
    return replace(PLAN.manifest, phases=(Phase(works),))


def passing(**changes: Any) -> Work:
    """The golden training with some fields of its pass changed."""
    return replace(TRAIN, passes=(replace(PASS, **changes),))


def selecting(**changes: Any) -> Work:
    """The golden training with some fields of its selector changed."""
    return passing(selector=replace(SELECTOR, **changes))


def with_pass(**changes: Any) -> Manifest:
    """The golden manifest with some fields of the training's pass changed."""
    return with_work(passes=passing(**changes).passes)
