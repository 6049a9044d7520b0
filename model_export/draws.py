"""Random values and batches, on which an export is held against Keras."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model_export.file_variables import FileVariable
from model_export.learner import Learner
from model_export.losses import Labels
from wire.tensors import Array

_NOISE = 0.05
_STEPS = 20  # the step counter and the seed are drawn below these
_SEEDS = 1 << 31


@dataclass(frozen=True)
class Batch:
    """A batch as a device feeds it: the first `count` examples are real, the others padding of weight zero."""

    x: Array
    y: Array
    count: int

    @property
    def fed(self) -> dict[str, Array]:
        """The inputs of a step."""
        return {"x": self.x, "y": self.y, "weight": (np.arange(len(self.y)) < self.count).astype(np.float32)}

    @property
    def real(self) -> tuple[Array, Array]:
        """The examples without the padding."""
        return self.x[: self.count], self.y[: self.count]


@dataclass(frozen=True)
class Draw:
    """Random values and batches for one comparison."""

    learner: Learner
    random: np.random.Generator

    def parameters(self) -> dict[str, Array]:
        """The model's parameters with some noise."""
        return self._around(self.learner.parameters)

    def exchanged(self) -> dict[str, Array]:
        """Parameters, and statistics that a training could have left."""
        statistics = self._around(self.learner.statistics)
        return self.parameters() | {name: np.abs(value) + np.float32(_NOISE) for name, value in statistics.items()}

    def kept(self) -> dict[str, Array]:
        """Everything that a step depends on, as if some steps had been taken."""
        return self.exchanged() | {one.name: self._slot(one) for one in self.learner.slots}

    def started(self) -> dict[str, Array]:
        """What training starts from: exchanged values, a seed, and all other slots at their initial value."""
        slots = {one.name: one.bound_initial for one in self.learner.slots}
        seed = {} if self.learner.seed is None else {self.learner.seed.name: self.seed()}
        return self.exchanged() | slots | seed

    def seed(self) -> Array:
        """A seed for random layers."""
        return self.random.integers(0, _SEEDS, [1]).astype(np.int32)

    def batch(self, count: int) -> Batch:
        """A batch of `count` random examples; the padding is not zero, since padding may hold anything."""
        spec = self.learner.batch["x"]
        if spec.dtype == "float32":
            x = self.random.standard_normal(spec.shape).astype(np.float32)
        else:
            x = self.random.integers(0, 256 if spec.dtype == "uint8" else 2, spec.shape).astype(spec.dtype)
        return Batch(x, self.labels(), count)

    def labels(self) -> Array:
        """Labels that the loss can take."""
        spec, classes = self.learner.batch["y"], self.learner.model.output.shape[-1]
        match self.learner.objective.labels:
            case Labels.CLASSES:
                return self.random.integers(0, classes, spec.shape).astype(np.int32)
            case Labels.ONE_HOT:
                return np.eye(classes, dtype=np.float32)[self.random.integers(0, classes, spec.shape[:-1])]
            case Labels.BINARY:
                return self.random.integers(0, 2, spec.shape).astype(np.float32)
            case Labels.UNIT:
                return self.random.random(spec.shape, np.float32)
            case Labels.REAL:
                return self.random.standard_normal(spec.shape).astype(np.float32)

    def counts(self) -> tuple[int, int]:
        """A full batch and a short one."""
        return self.learner.batch_size, max(self.learner.batch_size // 2, 1)

    def _around(self, variables: Sequence[FileVariable]) -> dict[str, Array]:
        return {
            one.name: (
                one.bound_initial + _NOISE * self.random.standard_normal(one.spec.shape).astype(np.float32)
            ).astype(one.spec.dtype)
            for one in variables
        }

    def _slot(self, slot: FileVariable) -> Array:
        """A slot as some steps could have left it: a squared first moment stays below the second."""
        if slot is self.learner.seed:
            return self.seed()
        if slot.spec.dtype == "int32":
            return np.array([self.random.integers(1, _STEPS)], np.int32)
        if not slot.initial.shape:
            return slot.bound_initial
        noise = _NOISE * self.random.uniform(0.5, 1.0, slot.spec.shape)
        drawn: Array = slot.bound_initial + noise.astype(slot.spec.dtype)
        return drawn
