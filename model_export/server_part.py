"""The server's part of a learning plan: `prepare` and `update`, without variables: state goes in, state comes out.

    train_prepare(state)       -> the parameters, learning_rate
    train_update(state, sums)  -> state with  θ ← θ + η_s · Σ_k n_k Δ_k / Σ_k n_k      (unchanged where Σ n_k = 0)
    evaluate_prepare(state)    -> the parameters

η_s is the server's learning rate; at 1 this is federated averaging (McMahan et al. 2017), otherwise FedOpt with SGD as
the server's optimizer (Reddi et al., "Adaptive Federated Optimization", 2021).
"""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from model_export.learner import SCALAR, nonzero
from model_export.signature import Signature
from model_export.works import LEARNING_RATE, WEIGHT
from plans.server import SUM_PREFIX
from wire.tensors import TensorSpec

CLIENT_LEARNING_RATE = "client_learning_rate"
SERVER_LEARNING_RATE = "server_learning_rate"


def server_signatures(parameters: Mapping[str, TensorSpec]) -> tuple[Signature, ...]:
    """The three signatures, for parameters of these specs."""
    state = {**parameters, CLIENT_LEARNING_RATE: SCALAR, SERVER_LEARNING_RATE: SCALAR}
    sums = {SUM_PREFIX + name: spec for name, spec in parameters.items()} | {SUM_PREFIX + WEIGHT: SCALAR}

    def broadcast(values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: tf.identity(values[name]) for name in parameters}

    def train_prepare(**values: Any) -> dict[str, Any]:
        return broadcast(values) | {LEARNING_RATE: tf.identity(values[CLIENT_LEARNING_RATE])}

    def train_update(**values: Any) -> dict[str, Any]:
        weight = values[SUM_PREFIX + WEIGHT]
        # sign(0) = 0 keeps the state where no client counted; nonzero(0) = 1 keeps the quotient finite.
        rate = tf.sign(weight) * values[SERVER_LEARNING_RATE] / nonzero(weight)
        kept = {name: tf.identity(values[name]) for name in (CLIENT_LEARNING_RATE, SERVER_LEARNING_RATE)}
        return {name: values[name] + rate * values[SUM_PREFIX + name] for name in parameters} | kept

    return (
        Signature("train_prepare", state, train_prepare),
        Signature("train_update", state | sums, train_update),
        Signature("evaluate_prepare", state, lambda **values: broadcast(values)),
    )
