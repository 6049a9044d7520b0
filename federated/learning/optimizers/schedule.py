"""A learning rate that is a function of how many steps have been taken: η = schedule(t), t = 0, 1, …

The state counts the steps as `round_number`, a float32, where other optimizers' has the rate. A server takes one step a
round.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from federated.learning.optimizers.optimizer import Optimizer, State

Schedule = Callable[[Any], Any]
"""η for a round number, which is a float32 tensor: `lambda t: 0.1 * 0.99**t`."""


def schedule_learning_rate(optimizer: Optimizer, schedule_fn: Schedule) -> Optimizer:
    """The optimizer with η = schedule(t) in place of its learning rate; t counts its steps."""
    return scheduled(optimizer, schedule_fn, steps=1)


def scheduled(optimizer: Optimizer, schedule_fn: Schedule, *, steps: int) -> Optimizer:
    """The same, where t grows by so much with every step; by 0, it is what others set it to."""

    def step(state: State, weights: Any, gradients: Any) -> tuple[State, Any]:
        from federated.backends.mathematics import cast

        t = state["round_number"]
        inner = OrderedDict(state, learning_rate=cast(schedule_fn(t), "float32"))
        after, moved = optimizer.next(inner, weights, gradients)
        return OrderedDict(after, round_number=t + steps), moved

    others = {name: value for name, value in optimizer.hparams.items() if name != "learning_rate"}
    return Optimizer({**others, "round_number": 0.0}, optimizer.slots, step, optimizer.first)
