"""The client's part of a learning plan: `begin`, `step`, `finish` for the works `train` and `evaluate`.

    train_begin(state, learning_rate, ...)   θ ← anchor ← state; slots ← start; n ← 0; sums ← 0
    train_step(x, y, weight)                 one step of the optimizer; n ← n + Σ weight; sums ← sums + Σ weight · value
    train_finish(flag)                       n · (θ − anchor), n, sums

The weight n of a client is the number of examples it trained on, as often as it did: federated averaging, McMahan et
al., "Communication-Efficient Learning of Deep Networks from Decentralized Data" (2017), Algorithm 1. The multiplication
by n is done here, so that a host does no arithmetic. Statistics of batch normalisation are averaged beside the
parameters, under a weight of their own.

With a proximal term, a step minimises L(θ) + μ/2 ‖θ − anchor‖², whose gradient has + μ (θ − anchor): FedProx, Li et
al., "Federated Optimization in Heterogeneous Networks" (2020), Algorithm 2. The term joins the gradient before the
optimizer sees (and perhaps clips) it, and is not part of the reported loss.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from model_export.file_variables import assign_all, specs
from model_export.learner import SCALAR, Learner, Measurement
from model_export.signature import Signature
from model_export.signatures import sums_and_counts
from plans.program import FLAG
from wire.tensors import TensorSpec

LEARNING_RATE = "learning_rate"
PROXIMAL = "proximal"
WEIGHT = "weight"
STATISTICS_WEIGHT = "statistics_weight"


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
    """The works of one learner, with the variables they need besides the learner's own.

    Attributes:
        anchors: the broadcast value of everything exchanged.
        proximal: μ, shape [1]; None without a proximal term.
    """

    learner: Learner
    anchors: tuple[Any, ...]
    proximal: Any
    trained: Tally
    evaluated: Tally

    @property
    def variables(self) -> list[Any]:
        """Every variable of the client's program."""
        tallies = [one for tally in (self.trained, self.evaluated) for one in (tally.weight, *tally.sums.values())]
        return [*self.learner.variables, *self.anchors, *([] if self.proximal is None else [self.proximal]), *tallies]

    @property
    def rates(self) -> dict[str, TensorSpec]:
        """The hyper-parameters that `train_begin` takes."""
        return {LEARNING_RATE: SCALAR} | ({} if self.proximal is None else {PROXIMAL: SCALAR})

    def signatures(self) -> tuple[Signature, ...]:
        """`begin`, `step` and `finish` of both works."""
        batch, exchanged, flag = self.learner.batch, specs(self.learner.exchanged), {FLAG: SCALAR}
        return (
            Signature("train_begin", exchanged | self.rates | self.learner.seed_specs, self._train_begin),
            Signature("train_step", batch, self._train_step),
            Signature("train_finish", flag, self._train_finish),
            Signature("evaluate_begin", exchanged, self._evaluate_begin),
            Signature("evaluate_step", batch, self._evaluate_step),
            Signature("evaluate_finish", flag, lambda flag: sums_and_counts(self.evaluated.read())),
        )

    def _train_begin(self, **broadcast: Any) -> dict[str, Any]:
        self.learner.optimizer.learning_rate.assign(tf.reshape(broadcast[LEARNING_RATE], []))
        if self.proximal is not None:
            self.proximal.assign(broadcast[PROXIMAL])
        for anchor, one in zip(self.anchors, self.learner.exchanged, strict=True):
            anchor.assign(tf.reshape(broadcast[one.name], anchor.shape))
        self.trained.clear()
        self.learner.start(broadcast)
        return {"ready": tf.ones([1])}

    def _train_step(self, **batch: Any) -> dict[str, Any]:
        measurement = self.learner.train(**batch, pull=None if self.proximal is None else self._pull)
        self.trained.add(measurement)
        return {"loss": measurement.mean_loss}

    def _pull(self, parameters: Sequence[Any]) -> list[Any]:
        """+ μ (θ − anchor)."""
        pairs = zip(parameters, self.anchors, strict=False)  # the statistics' anchors follow the parameters'
        return [tf.reshape(self.proximal, [1] * one.shape.rank) * (one - anchor) for one, anchor in pairs]

    def _train_finish(self, flag: Any) -> dict[str, Any]:
        measurement = self.trained.read()
        pairs = zip(self.learner.exchanged, self.anchors, strict=True)
        deltas = {one.name: measurement.weight * (one.variable.value - anchor) for one, anchor in pairs}
        weights = dict.fromkeys([WEIGHT, STATISTICS_WEIGHT] if self.learner.statistics else [WEIGHT])
        return deltas | {name: tf.identity(measurement.weight) for name in weights} | sums_and_counts(measurement)

    def _evaluate_begin(self, **broadcast: Any) -> dict[str, Any]:
        self.evaluated.clear()
        assign_all(self.learner.exchanged, broadcast)
        return {"ready": tf.ones([1])}

    def _evaluate_step(self, **batch: Any) -> dict[str, Any]:
        measurement = self.learner.evaluate(**batch)
        self.evaluated.add(measurement)
        return {"loss": measurement.mean_loss}


def make_client_part(learner: Learner, *, proximal: bool) -> ClientPart:
    """The works of a learner, with fresh variables."""
    anchors = tuple(tf.Variable(one.initial, name=f"anchor_{one.name}") for one in learner.exchanged)
    mu = tf.Variable(tf.zeros([1]), name=PROXIMAL) if proximal else None
    return ClientPart(learner, anchors, mu, _tally(learner, "trained"), _tally(learner, "evaluated"))


def _tally(learner: Learner, name: str) -> Tally:
    sums = {measured: tf.Variable(tf.zeros([1]), name=f"{name}_{measured}") for measured in learner.objective.measured}
    return Tally(tf.Variable(tf.zeros([1]), name=f"{name}_weight"), sums)
