"""The client's part of a learning plan: `begin`, `step`, `finish` for the works `train` and `evaluate`.

    train_begin(parameters, learning_rate)   θ ← anchor ← parameters; n ← 0; sums ← 0
    train_step(x, y, weight)                 θ ← θ − η ∂L/∂θ; n ← n + Σ weight; sums ← sums + Σ weight · value
    train_finish(flag)                       n · (θ − anchor), n, sums

The weight n of a client is the number of examples it trained on, as often as it did: federated averaging, McMahan et
al., "Communication-Efficient Learning of Deep Networks from Decentralized Data" (2017), Algorithm 1. The multiplication
by n is done here, so that a host does no arithmetic.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from model_export.learner import SCALAR, Learner, Measurement
from model_export.signature import Signature
from model_export.signatures import restore, sums_and_counts
from plans.client import FLAG

LEARNING_RATE = "learning_rate"
WEIGHT = "weight"


@dataclass(frozen=True)
class Tally:
    """What a work adds up over its steps: Σ w and Σ w · value, each a variable of shape [1]."""

    weight: Any
    sums: Mapping[str, Any]

    def clear(self) -> None:
        """Start again from nothing."""
        for variable in (self.weight, *self.sums.values()):
            variable.assign(tf.zeros([1]))

    def add(self, measurement: Measurement) -> None:
        """Count one batch."""
        self.weight.assign_add(measurement.weight)
        for name, variable in self.sums.items():
            variable.assign_add(measurement.sums[name])

    def read(self) -> Measurement:
        """What was added up since `clear`."""
        return Measurement(tf.identity(self.weight), {name: tf.identity(one) for name, one in self.sums.items()})


@dataclass(frozen=True)
class ClientPart:
    """The works of one learner, with the variables they need besides the learner's own."""

    learner: Learner
    anchors: tuple[Any, ...]
    trained: Tally
    evaluated: Tally

    @property
    def variables(self) -> list[Any]:
        """Every variable of the client's program."""
        tallies = [one for tally in (self.trained, self.evaluated) for one in (tally.weight, *tally.sums.values())]
        return [*self.learner.parameters, self.learner.learning_rate, *self.anchors, *tallies]

    def signatures(self) -> tuple[Signature, ...]:
        """`begin`, `step` and `finish` of both works."""
        batch, parameters, flag = self.learner.batch, self.learner.parameter_specs, {FLAG: SCALAR}
        return (
            Signature("train_begin", parameters | {LEARNING_RATE: SCALAR}, self._train_begin),
            Signature("train_step", batch, self._train_step),
            Signature("train_finish", flag, self._train_finish),
            Signature("evaluate_begin", parameters, self._evaluate_begin),
            Signature("evaluate_step", batch, self._evaluate_step),
            Signature("evaluate_finish", flag, lambda flag: sums_and_counts(self.evaluated.read())),
        )

    def _train_begin(self, **broadcast: Any) -> dict[str, Any]:
        self.learner.learning_rate.assign(broadcast[LEARNING_RATE])
        for anchor, name in zip(self.anchors, self.learner.names, strict=True):
            anchor.assign(broadcast[name])
        self.trained.clear()
        return {"ready": restore(self.learner, broadcast)}

    def _train_step(self, **batch: Any) -> dict[str, Any]:
        measurement = self.learner.train(**batch)
        self.trained.add(measurement)
        return {"loss": measurement.mean_loss}

    def _train_finish(self, flag: Any) -> dict[str, Any]:
        measurement = self.trained.read()
        triples = zip(self.learner.names, self.learner.parameters, self.anchors, strict=True)
        deltas = {name: measurement.weight * (variable - anchor) for name, variable, anchor in triples}
        return deltas | {WEIGHT: measurement.weight} | sums_and_counts(measurement)

    def _evaluate_begin(self, **broadcast: Any) -> dict[str, Any]:
        self.evaluated.clear()
        return {"ready": restore(self.learner, broadcast)}

    def _evaluate_step(self, **batch: Any) -> dict[str, Any]:
        measurement = self.learner.evaluate(**batch)
        self.evaluated.add(measurement)
        return {"loss": measurement.mean_loss}


def make_client_part(learner: Learner) -> ClientPart:
    """The works of a learner, with fresh variables."""
    anchors = tuple(
        tf.Variable(parameter.value, name=f"anchor_{parameter.name}") for parameter in learner.model.parameters
    )
    return ClientPart(learner, anchors, _tally(learner, "trained"), _tally(learner, "evaluated"))


def _tally(learner: Learner, name: str) -> Tally:
    sums = {measured: tf.Variable(tf.zeros([1]), name=f"{name}_{measured}") for measured in learner.objective.measured}
    return Tally(tf.Variable(tf.zeros([1]), name=f"{name}_weight"), sums)
