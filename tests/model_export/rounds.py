"""Whole rounds of a plan in memory: both programs, run as devices and orchestrator run them."""

from collections.abc import Mapping, Sequence

import numpy as np

from plans import client, server
from plans.bundle import Plan
from plans.program import Program
from wire.tensors import Array, Tensors


class Examples:
    """Examples in memory, as a device's store gives them."""

    def __init__(self, x: Array, y: Array) -> None:
        self._fields = {"x": x, "y": y}

    def __len__(self) -> int:
        return len(self._fields["y"])

    def read(self, indices: Sequence[int]) -> dict[str, Array]:
        return {name: values[indices] for name, values in self._fields.items()}


class Round:
    """Both programs of a plan, run as devices and orchestrator run them."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.train, self.evaluate = plan.manifest.work("train"), plan.manifest.work("evaluate")
        self.client, self.server = Program(plan.client), Program(plan.server)

    def run(
        self, state: Tensors, clients: list[Examples], seed: int = 1
    ) -> tuple[dict[str, Array], list[client.ClientResult]]:
        broadcast = server.prepare(self.server, self.plan.manifest, self.train, state).broadcast
        (collection,) = {one.selector.collection for one in self.train.passes}
        results = [
            client.run(self.client, self.train, broadcast, {collection: examples}, seed=seed) for examples in clients
        ]
        sums = {
            name: sum((result.update[name] for result in results), np.zeros(spec.shape, spec.dtype))
            for name, spec in self.train.update_specs.items()
        }
        return server.update(self.server, self.plan.manifest, self.train, state, sums).state, results

    def measure(self, state: Tensors, examples: Examples) -> Mapping[str, float]:
        broadcast = server.prepare(self.server, self.plan.manifest, self.evaluate, state).broadcast
        (collection,) = {one.selector.collection for one in self.evaluate.passes}
        return client.run(self.client, self.evaluate, broadcast, {collection: examples}, seed=1).metrics
