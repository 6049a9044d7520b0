"""What an optimizer is: two pure functions and its hyper-parameters.

The state is a mapping whose hyper-parameters stand beside the slots, so that they can be read and set between rounds
without anything being compiled anew.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wire.tensors import Array

State = OrderedDict[str, Any]


@dataclass(frozen=True)
class Optimizer:
    """An optimizer.

    Attributes:
        hparams: its hyper-parameters, by name.
        slots: the names of the slots, each of which is as large as the weights.
        first: what a slot starts with, by its name; 0 where it is not here.
        step: `(state, weights, gradients) -> state, weights`, on tensors of the library that computes.
    """

    hparams: Mapping[str, float]
    slots: tuple[str, ...]
    step: Callable[[State, Any, Any], tuple[State, Any]]
    first: Mapping[str, float]

    def initialize(self, specs: Sequence[Any]) -> State:
        """The state for weights of these shapes: arrays, or anything with a `shape`.

        Returns:
            Arrays: hyper-parameters as float32[], slots as lists of float32 arrays.
        """
        state: State = OrderedDict((name, np.float32(value)) for name, value in self.hparams.items())
        for slot in self.slots:
            value = self.first.get(slot, 0.0)
            state[slot] = [_filled(spec, value) for spec in specs]
        return state

    def next(self, state: State, weights: Any, gradients: Any) -> tuple[State, Any]:
        """One step: the next state and the next weights."""
        return self.step(state, weights, gradients)


def _filled(spec: Any, value: float) -> Array:
    return np.full(tuple(spec.shape), value, np.float32)
