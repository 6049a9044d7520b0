"""The server's part of a learning plan: `prepare` and `update`, without variables: state goes in, state comes out.

    train_prepare(state)       -> parameters, statistics, learning_rate, ...
    train_update(state, sums)  -> state with  θ ← θ + η_s · Σ_k n_k Δ_k / Σ_k n_k      (unchanged where Σ n_k = 0)
    evaluate_prepare(state)    -> parameters, statistics

η_s is the server's learning rate; at 1 this is federated averaging (McMahan et al. 2017), otherwise FedOpt with SGD as
the server's optimizer (Reddi et al., "Adaptive Federated Optimization", 2021). Statistics become the weighted mean of
the clients' statistics, whatever η_s: they are measured, not optimised.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from model_export.learner import SCALAR, nonzero
from model_export.signature import Signature
from model_export.works import LEARNING_RATE, PROXIMAL, STATISTICS_WEIGHT, WEIGHT
from plans.server import SUM_PREFIX
from wire.tensors import TensorSpec

CLIENT_LEARNING_RATE = "client_learning_rate"
SERVER_LEARNING_RATE = "server_learning_rate"


@dataclass(frozen=True)
class ServerPart:
    """The server's part for parameters and statistics of these specs.

    Attributes:
        proximal: whether the state holds μ of a proximal term.
    """

    parameters: Mapping[str, TensorSpec]
    statistics: Mapping[str, TensorSpec]
    proximal: bool

    @property
    def rates(self) -> tuple[str, ...]:
        """The hyper-parameters of the state."""
        return (CLIENT_LEARNING_RATE, *((PROXIMAL,) if self.proximal else ()), SERVER_LEARNING_RATE)

    def signatures(self) -> tuple[Signature, ...]:
        """The three signatures."""
        exchanged = {**self.parameters, **self.statistics}
        state = exchanged | dict.fromkeys(self.rates, SCALAR)
        weights = [WEIGHT, STATISTICS_WEIGHT] if self.statistics else [WEIGHT]
        sums = {SUM_PREFIX + name: spec for name, spec in (exchanged | dict.fromkeys(weights, SCALAR)).items()}
        return (
            Signature("train_prepare", state, self._train_prepare),
            Signature("train_update", state | sums, self._train_update),
            Signature("evaluate_prepare", state, lambda **values: self._exchanged(values)),
        )

    def _exchanged(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: tf.identity(values[name]) for name in (*self.parameters, *self.statistics)}

    def _train_prepare(self, **values: Any) -> dict[str, Any]:
        rates = {LEARNING_RATE: tf.identity(values[CLIENT_LEARNING_RATE])}
        if self.proximal:
            rates[PROXIMAL] = tf.identity(values[PROXIMAL])
        return self._exchanged(values) | rates

    def _train_update(self, **values: Any) -> dict[str, Any]:
        rate = values[SERVER_LEARNING_RATE] * _share(values[SUM_PREFIX + WEIGHT])
        moved = {name: values[name] + rate * values[SUM_PREFIX + name] for name in self.parameters}
        if self.statistics:
            share = _share(values[SUM_PREFIX + STATISTICS_WEIGHT])
            moved |= {name: values[name] + share * values[SUM_PREFIX + name] for name in self.statistics}
        return moved | {name: tf.identity(values[name]) for name in self.rates}


def _share(weight: Any) -> Any:
    """1 / weight. sign(0) = 0 keeps the state where no client counted; nonzero(0) = 1 keeps the quotient finite."""
    return tf.sign(weight) / nonzero(weight)
