"""An aggregation that the plan brings itself, as signatures of `server.tflite`; see `plans.manifest.Aggregation`.

Whether the order of the updates matters is the plan's own affair. A host counts them in the order of their
assignments' ids, so that a sum made again after a crash is the same.
"""

from collections.abc import Sequence
from typing import Self

from plans.manifest import Aggregation, Port, Work
from plans.program import Program, unbind_all
from wire.tensors import Array, Tensors

VALUE_PREFIX = "value_"
OTHER_PREFIX = "other_"


class CustomAccumulator:
    """The running accumulator of one custom entry."""

    def __init__(self, entry: Aggregation, work: Work, server: Program) -> None:
        self._entry = entry
        self._server = server
        self._values = {VALUE_PREFIX + name: work.update[name] for name in entry.values}
        self._held = self._call("zero", {}, {})

    def accumulate(self, update: Tensors) -> None:
        """Call the plan's `accumulate` with an update's tensors."""
        values = {VALUE_PREFIX + name: update[name] for name in self._entry.values}
        self._held = self._call("accumulate", self._entry.accumulator | self._values, {**self._held, **values})

    def merge(self, other: Self) -> None:
        """Call the plan's `merge` with the accumulator of other updates."""
        ports = {OTHER_PREFIX + name: port for name, port in self._entry.accumulator.items()}
        values = {OTHER_PREFIX + name: value for name, value in other._held.items()}
        self._held = self._call("merge", self._entry.accumulator | ports, {**self._held, **values})

    def held(self) -> list[Array]:
        """The accumulator's tensors."""
        return [self._held[name] for name in self._entry.accumulator]

    def hold(self, arrays: Sequence[Array]) -> None:
        """Hold the tensors of another."""
        self._held = dict(zip(self._entry.accumulator, arrays, strict=True))

    def finalize(self) -> dict[str, Array]:
        """What the plan's `report` gives."""
        outputs = self._server.call_through(self._entry.signatures["report"], self._entry.accumulator, self._held)
        return unbind_all(self._entry.result, outputs)

    def _call(self, signature: str, ports: dict[str, Port], tensors: Tensors) -> dict[str, Array]:
        outputs = self._server.call_through(self._entry.signatures[signature], ports, tensors)
        return unbind_all(self._entry.accumulator, outputs)
