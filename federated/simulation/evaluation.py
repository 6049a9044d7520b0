"""Measuring the model of a run on clients that are set aside."""

from collections.abc import Callable, Mapping
from typing import Any

from federated.learning.algorithms import build_fed_eval
from federated.learning.models import FunctionalModel
from federated.learning.process import LearningProcess
from federated.simulation.datasets.client_data import ClientData

Evaluate = Callable[[Any], Mapping[str, float]]
"""From the process's state, a name and a number for whatever is measured of it."""


def build_evaluation_fn(
    process: LearningProcess, model: FunctionalModel, data: ClientData, *, batch_size: int = 100
) -> Evaluate:
    """The `evaluate` of `train`: the model's loss and metrics over all examples of these clients, in the context."""
    evaluation = build_fed_eval(model)

    def evaluate(state: Any) -> Mapping[str, float]:
        found = evaluation(process.get_model_weights(state), data.cohort(data.client_ids, batch_size))["eval"]
        return {name: float(value) for name, value in found.items()}

    return evaluate
