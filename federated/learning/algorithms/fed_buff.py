"""FedBuff: clients come and go as they like, and the server takes a step whenever a buffer of K updates is full.

Nguyen, Malik, Zhan, Yousefpour, Rabbat, Malek and Huba, "Federated Learning with Buffered Asynchronous Aggregation"
(2022), Algorithms 1 and 2. A client that began when the server had taken t_i steps, and ends when it has taken t:

    at client i     y_i ← w of step t_i;  y_i ← y_i − η ∇L_b(y_i) for every batch b;  Δ_i = y_i − w of step t_i
    at the server   Δ̄ ← Δ̄ + s(t − t_i) Δ_i;  with K of them  w ← w + η_g Δ̄ / K,  Δ̄ ← 0

s(τ) = 1 / √(1 + τ) is the paper's weight of an update that is τ steps stale; every client counts as one. η_g is the
server's learning rate, or any server optimizer, of the gradient −Δ̄ / K. A round, over a cohort that waits for its
slowest, does not exist; `fed.simulation.train_asynchronously` has the clock.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from federated.backends.tf_computation import tf_computation
from federated.language.computation import Computation, federated_computation
from federated.language.errors import MisuseError
from federated.language.operators import (
    federated_broadcast,
    federated_eval,
    federated_map,
    federated_sum,
    federated_zip,
)
from federated.language.origin import here
from federated.language.placements import CLIENTS, SERVER
from federated.language.types import FederatedType, SequenceType, StructType, TensorType
from federated.learning.batches import batches_of
from federated.learning.client_work import means_of, training_work
from federated.learning.composing import first_state_of, moved_by
from federated.learning.models import FunctionalModel, ModelWeights
from federated.learning.optimizers import Optimizer, build_sgdm
from federated.learning.process import LearningAlgorithmState


class ClientOutput(NamedTuple):
    """What one client came to: Δ_i, and its metrics."""

    update: Any
    metrics: Any


@dataclass(frozen=True)
class AsynchronousProcess:
    """An algorithm whose server takes steps between clients that begin and end at any time.

    Attributes:
        buffer_size: K.
        initialize_computation: `( -> S@SERVER)`.
        train_computation: `(<state=S@SERVER,data={B*}@CLIENTS> -> <Δ@SERVER,metrics@SERVER>)`, of one client.
        take_computation: `(<state=S@SERVER,buffer={<update=Δ,staleness=float32>}@CLIENTS> -> S@SERVER)`.
        classes: as in `LearningProcess`.
    """

    buffer_size: int
    initialize_computation: Computation
    train_computation: Computation
    take_computation: Computation
    classes: int | None = None

    def initialize(self) -> LearningAlgorithmState:
        """The first state."""
        state: LearningAlgorithmState = self.initialize_computation()
        return state

    def train(self, state: LearningAlgorithmState, client: Iterable[Any]) -> ClientOutput:
        """What a client makes of the state that it began with, over its batches `(x, y)`."""
        update, metrics = self.train_computation(state, batches_of([client], self.classes))
        return ClientOutput(update, metrics)

    def take(self, state: LearningAlgorithmState, buffer: Sequence[tuple[Any, int]]) -> LearningAlgorithmState:
        """The state after a step along K updates, each with its staleness τ.

        Raises:
            MisuseError: the buffer holds more or fewer.
        """
        if len(buffer) != self.buffer_size:
            raise MisuseError(
                f"the server takes a step of {self.buffer_size} updates, found {len(buffer)}", where=here()
            )
        values = [OrderedDict(update=update, staleness=np.float32(staleness)) for update, staleness in buffer]
        after: LearningAlgorithmState = self.take_computation(state, values)
        return after

    def get_model_weights(self, state: LearningAlgorithmState) -> ModelWeights:
        """The model of a state."""
        weights: ModelWeights = state.global_model_weights
        return weights


def build_fed_buff(
    model: FunctionalModel,
    client_optimizer_fn: Optimizer,
    server_optimizer_fn: Optimizer | None = None,
    *,
    buffer_size: int = 10,
) -> AsynchronousProcess:
    """FedBuff.

    Args:
        client_optimizer_fn: makes the clients' steps.
        server_optimizer_fn: takes −Δ̄ / K as the gradient; None for gradient descent of rate 1.
        buffer_size: K; the paper's is 10.

    Raises:
        MisuseError: a buffer of no updates.
    """
    if buffer_size < 1:
        raise MisuseError(f"buffer_size is at least 1, found {buffer_size}", where=here())
    clients, server_optimizer = training_work(model, client_optimizer_fn), server_optimizer_fn or build_sgdm(1.0)
    work_type = clients.work.type_signature.result
    assert isinstance(work_type, StructType)  # noqa: S101 - as `ClientWork` says
    update_type, metrics_type = work_type["update"], work_type["metrics"]

    @tf_computation
    def first_state() -> LearningAlgorithmState:
        return first_state_of(model, clients, server_optimizer)

    @federated_computation
    def initialize() -> Any:
        return federated_eval(first_state, SERVER)

    state_type = first_state.type_signature.result
    report = tf_computation(means_of, metrics_type)

    @federated_computation(FederatedType(state_type, SERVER), FederatedType(SequenceType(model.batch_type), CLIENTS))
    def train(state: Any, data: Any) -> Any:
        at_client = federated_broadcast(federated_zip((state.global_model_weights, state.client_work)))
        done = federated_map(lambda own: clients.work(own[0][0], own[0][1], own[1]), (at_client, data))
        return federated_sum(done.update), federated_map(report, federated_sum(done.metrics))

    entry_type = StructType([("update", update_type), ("staleness", TensorType(np.float32))])

    @tf_computation(entry_type)
    def weighed(entry: Any) -> Any:
        from federated.backends.mathematics import each, sqrt

        s = 1 / sqrt(1 + entry["staleness"])
        return each(lambda delta: s * delta, entry["update"])

    @tf_computation(state_type, update_type)
    def step(state: LearningAlgorithmState, total: Any) -> LearningAlgorithmState:
        mean = OrderedDict((part, [delta / buffer_size for delta in deltas]) for part, deltas in total.items())
        weights, optimizer = moved_by(state, server_optimizer, mean)
        return LearningAlgorithmState(weights, state.distributor, state.client_work, state.aggregator, optimizer)

    @federated_computation(FederatedType(state_type, SERVER), FederatedType(entry_type, CLIENTS))
    def take(state: Any, buffer: Any) -> Any:
        return federated_map(step, (state, federated_sum(federated_map(weighed, buffer))))

    return AsynchronousProcess(buffer_size, initialize, train, take, model.classes)
