"""Random parameters and batches, on which an export is held against Keras."""

from dataclasses import dataclass

import numpy as np

from model_export.learner import Learner
from wire.tensors import Array

_NOISE = 0.05


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
    """Random parameters and batches for one comparison."""

    learner: Learner
    random: np.random.Generator

    def parameters(self) -> dict[str, Array]:
        """The model's parameters with some noise."""
        return {
            one.name: (one.value + _NOISE * self.random.standard_normal(one.value.shape)).astype(one.spec.dtype)
            for one in self.learner.model.parameters
        }

    def batch(self, count: int) -> Batch:
        """A batch of `count` random examples; the padding is not zero, since padding may hold anything."""
        spec = self.learner.batch["x"]
        if spec.dtype == "float32":
            x = self.random.standard_normal(spec.shape).astype(np.float32)
        else:
            x = self.random.integers(0, 256 if spec.dtype == "uint8" else 2, spec.shape).astype(spec.dtype)
        y = self.random.integers(0, self.learner.model.classes, self.learner.batch_size).astype(np.int32)
        return Batch(x, y, count)

    def counts(self) -> tuple[int, int]:
        """A full batch and a short one."""
        return self.learner.batch_size, max(self.learner.batch_size // 2, 1)
