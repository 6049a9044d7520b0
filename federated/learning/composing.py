"""Puts a learning process together from what clients do, how that is aggregated, and what the server makes of it.

One round, of the state s with the model w, over the clients k:

    (Δ_k, n_k) = work(w, data_k)        Δ = aggregate of Δ_k, n_k        w ← optimizer(w, −Δ)

The aggregate is the mean, weighted by n_k, unless another aggregator is given.
"""

from collections import OrderedDict
from typing import Any

import numpy as np

from federated.aggregators.mean import MeanFactory
from federated.aggregators.process import AggregationFactory, AggregationProcess
from federated.backends.tf_computation import tf_computation
from federated.language.computation import Computation, federated_computation
from federated.language.errors import MisuseError
from federated.language.operators import (
    federated_broadcast,
    federated_eval,
    federated_map,
    federated_map_with_state,
    federated_sum,
    federated_zip,
)
from federated.language.placements import CLIENTS, SERVER
from federated.language.types import FederatedType, SequenceType, StructType, TensorType, Type
from federated.learning.client_work import ClientWork, means_of
from federated.learning.models import FunctionalModel, ModelWeights
from federated.learning.optimizers import Optimizer
from federated.learning.process import LearningAlgorithmState, LearningProcess


def compose(
    model: FunctionalModel,
    clients: ClientWork,
    server_optimizer: Optimizer,
    *,
    is_weighted: bool,
    aggregator: AggregationFactory | None = None,
) -> LearningProcess:
    """The learning process of these parts.

    Args:
        is_weighted: whether a client counts by its examples, or as one.
        aggregator: what becomes of the clients' updates; None for the mean.

    Raises:
        MisuseError: clients count by their examples, and the aggregator knows no weights.
    """
    work_type = clients.work.type_signature.result
    assert isinstance(work_type, StructType)  # noqa: S101 - as `ClientWork` says
    factory = aggregator or MeanFactory()
    aggregation, takes_weight = _aggregation(factory, work_type["update"], is_weighted), factory.is_weighted

    @tf_computation
    def first_state() -> LearningAlgorithmState:
        return first_state_of(model, clients, server_optimizer)

    @federated_computation
    def initialize() -> Any:
        first = federated_eval(first_state, SERVER)
        parts = (first.global_model_weights, first.distributor, first.client_work)
        return federated_zip(LearningAlgorithmState(*parts, aggregation.initialize(), first.finalizer))

    state_type, aggregator_type = _at_server(initialize), _at_server(aggregation.initialize)

    @tf_computation(state_type, aggregator_type, work_type["update"])
    def finalize(state: LearningAlgorithmState, aggregator: Any, mean: Any) -> LearningAlgorithmState:
        weights, optimizer = moved_by(state, server_optimizer, mean)
        return LearningAlgorithmState(
            weights, state.distributor, clients.after(state.client_work, mean), aggregator, optimizer
        )

    report = tf_computation(means_of, work_type["metrics"])

    @federated_computation(FederatedType(state_type, SERVER), FederatedType(SequenceType(model.batch_type), CLIENTS))
    def next_round(state: Any, data: Any) -> Any:
        at_clients = federated_broadcast(federated_zip((state.global_model_weights, state.client_work)))
        done = _done(clients, at_clients, data)
        weight = done.weight if is_weighted else federated_map(tf_computation(_counts, np.float32), done.weight)
        aggregated = aggregation.next(state.aggregator, done.update, *([weight] if takes_weight else []))
        new_state = federated_map(finalize, (state, aggregated.state, aggregated.result))
        train = federated_map(report, federated_sum(done.metrics))
        measured = OrderedDict(client_work=OrderedDict(train=train), aggregator=aggregated.measurements)
        return new_state, federated_zip(measured)

    return LearningProcess(initialize, next_round, model.classes)


def first_state_of(model: FunctionalModel, clients: ClientWork, server_optimizer: Optimizer) -> LearningAlgorithmState:
    """What a process starts from, as arrays; the aggregator remembers nothing."""
    weights = model.initial_weights
    return LearningAlgorithmState(
        ModelWeights(list(weights.trainable), list(weights.non_trainable)),
        OrderedDict(),
        OrderedDict(clients.hparams),
        OrderedDict(),
        server_optimizer.initialize(weights.trainable),
    )


def moved_by(state: LearningAlgorithmState, server_optimizer: Optimizer, mean: Any) -> tuple[ModelWeights, Any]:
    """The model after the server's step along a mean of updates, and the optimizer's state; on tensors."""
    weights = state.global_model_weights
    gradient = [-delta for delta in mean["trainable"]]
    optimizer, trainable = server_optimizer.next(state.finalizer, weights.trainable, gradient)
    statistics = [s + delta for s, delta in zip(weights.non_trainable, mean["non_trainable"], strict=True)]
    after = OrderedDict((name, optimizer[name]) for name in state.finalizer)
    return ModelWeights(list(trainable), statistics), after


def _done(clients: ClientWork, at_clients: Any, data: Any) -> Any:
    """What every client's work comes to; what it keeps stays with it."""
    if clients.first is None:
        return federated_map(lambda own: clients.work(own[0][0], own[0][1], own[1]), (at_clients, data))

    def keep(kept: Any, own: Any) -> Any:
        done = clients.work(own[0][0], own[0][1], own[1], kept)
        return done.kept, OrderedDict(update=done.update, weight=done.weight, metrics=done.metrics)

    return federated_map_with_state(keep, federated_map(clients.first, at_clients), (at_clients, data))


def _at_server(computation: Computation) -> Type:
    """The type of what a computation gives at the server."""
    result = computation.type_signature.result
    assert isinstance(result, FederatedType)  # noqa: S101 - it is an `initialize`
    return result.member


def _aggregation(factory: AggregationFactory, update_type: Type, is_weighted: bool) -> AggregationProcess:
    if factory.is_weighted:
        return factory.create(update_type, TensorType(np.float32))
    if is_weighted:
        raise MisuseError(
            "clients count by their examples here, but the model_aggregator takes no weights",
            fix="use an unweighted algorithm, or an aggregator around fed.aggregators.MeanFactory()",
        )
    return factory.create(update_type)


def _counts(examples: Any) -> Any:
    """1 for a client that has examples, 0 for one that has none."""
    from federated.backends.mathematics import sign

    return sign(examples)
