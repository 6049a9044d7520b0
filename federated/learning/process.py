"""A learning process: `initialize() -> state`, `next(state, clients) -> state, metrics`.

Both are computations of the federated language, `( -> S@SERVER)` and
`(<S@SERVER,{B*}@CLIENTS> -> <S@SERVER,M@SERVER>)`, so a round runs wherever computations do. The state is plain data:
arrays in named parts, each of which belongs to one part of the algorithm.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from federated.language.computation import Computation
from federated.language.errors import ValueMismatchError
from federated.learning.batches import batches_of
from federated.learning.models import ModelWeights


@dataclass(frozen=True)
class LearningAlgorithmState:
    """The server's state between rounds.

    Attributes:
        global_model_weights: the model that clients get next.
        distributor, client_work, aggregator, finalizer: what each part of the algorithm remembers; its
            hyper-parameters too.
    """

    global_model_weights: Any
    distributor: Any
    client_work: Any
    aggregator: Any
    finalizer: Any


class LearningProcessOutput(NamedTuple):
    """What a round came to."""

    state: Any
    metrics: Any


class LearningProcess:
    """A learning algorithm.

    Args:
        classes: how many there are, where a label is the number of one; other labels are then refused.

    Attributes:
        initialize_computation, next_computation: as the federated language has them.
    """

    def __init__(self, initialize: Computation, next_computation: Computation, classes: int | None = None) -> None:
        self.initialize_computation = initialize
        self.next_computation = next_computation
        self._classes = classes

    def initialize(self) -> LearningAlgorithmState:
        """The first state."""
        state: LearningAlgorithmState = self.initialize_computation()
        return state

    def next(
        self, state: LearningAlgorithmState, clients: Iterable[Iterable[Any]] | None = None
    ) -> LearningProcessOutput:
        """One round over some clients, in the current context.

        Args:
            clients: for each its batches, `(x, y)`, in a list or a cohort; see `federated.learning.batches`. None in
                the fleet, whose devices have them: `bind={"data": fed.on_device("digits", batch_size=20,
                weight="weight")}`.

        Returns:
            The next state, and the round's metrics at `["client_work"]["train"]`.

        Raises:
            ValueMismatchError: the clients are no list, none has an example, or something of theirs does not fit the
                model.
            ExecutionError: an update is not finite, or no client of a cohort has an example.
        """
        data = () if clients is None else (batches_of(clients, self._classes),)
        new_state, metrics = self.next_computation(state, *data)
        return LearningProcessOutput(new_state, metrics)

    def get_model_weights(self, state: LearningAlgorithmState) -> ModelWeights:
        """The model of a state."""
        weights: ModelWeights = state.global_model_weights
        return weights

    def set_model_weights(self, state: LearningAlgorithmState, weights: ModelWeights) -> LearningAlgorithmState:
        """The state with another model."""
        return replace(state, global_model_weights=weights)

    def get_hparams(self, state: LearningAlgorithmState) -> dict[str, Any]:
        """The hyper-parameters of a state, by part of the algorithm and name."""
        parts = {"client_work": state.client_work, "finalizer": state.finalizer}
        return {part: {k: v for k, v in values.items() if not isinstance(v, list)} for part, values in parts.items()}

    def set_hparams(
        self, state: LearningAlgorithmState, hparams: Mapping[str, Mapping[str, float]]
    ) -> LearningAlgorithmState:
        """The state with other hyper-parameters.

        Raises:
            ValueMismatchError: one that the algorithm does not have.
        """
        known = self.get_hparams(state)
        changed: dict[str, Any] = {}
        for part, values in hparams.items():
            if unknown := sorted(values.keys() - known.get(part, {}).keys()):
                raise ValueMismatchError(
                    f"the algorithm has no hyper-parameter {part}.{unknown[0]}; it has "
                    + ", ".join(f"{p}.{name}" for p, names in known.items() for name in names)
                )
            current = getattr(state, part)
            changed[part] = OrderedDict((k, np.float32(values[k]) if k in values else v) for k, v in current.items())
        return replace(state, **changed)
