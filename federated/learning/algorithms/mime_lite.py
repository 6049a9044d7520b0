"""MimeLite: clients step as the server's optimizer would, with the server's statistics, which stay fixed in a round.

Karimireddy, Jaggi, Kale, Mohri, Reddi, Stich and Suresh, "Mime: Mimicking Centralized Stochastic Algorithms in
Federated Learning" (2020), Algorithm 1 without the SVRG correction. With s the state of the base optimizer B = (U, V):

    at client i     y_i ← x;  y_i ← y_i − η U(∇L_b(y_i), s) for every batch b;  c_i = ∇f_i(x)
    at the server   s ← V(mean of c_i, s);  x ← mean of y_i

∇f_i(x) is over all of the client's examples at the server's weights. Departure, as in TensorFlow Federated: U is a
whole step of the base optimizer, whose statistics the client then forgets; in the paper, where V divides by its
statistics (Adam, RMSprop), U leaves the client's gradient out of the divisor.
"""

from collections import OrderedDict
from typing import Any

from federated.aggregators.mean import MeanFactory
from federated.aggregators.process import AggregationFactory
from federated.backends.tf_computation import tf_computation
from federated.language.computation import federated_computation
from federated.language.inference import infer_type
from federated.language.types import SequenceType
from federated.learning.algorithms.fed_sgd import gradient_work
from federated.learning.client_work import ClientWork, Hparams, local_steps, no_metrics
from federated.learning.composing import compose
from federated.learning.model_updates import ModelUpdateFactory
from federated.learning.models import FunctionalModel, ModelWeights
from federated.learning.optimizers import Optimizer, build_sgdm
from federated.learning.optimizers.optimizer import State
from federated.learning.process import LearningProcess
from federated.learning.weighting import ClientWeighting, Weighting, is_by_weight, weighted_by


def build_weighted_mime_lite(
    model: FunctionalModel,
    base_optimizer: Optimizer,
    server_optimizer: Optimizer | None = None,
    *,
    client_weighting: Weighting = ClientWeighting.NUM_EXAMPLES,
    model_aggregator: AggregationFactory | None = None,
) -> LearningProcess:
    """MimeLite in which a client counts by its examples.

    Args:
        base_optimizer: B.
        server_optimizer: what the server does with the mean of y_i − x; None for taking it as it is.
        model_aggregator: what becomes of the y_i − x; None for their mean. The c_i are averaged.
    """
    return compose(
        model,
        weighted_by(_mimicking_work(model, base_optimizer), client_weighting),
        server_optimizer or build_sgdm(1.0),
        is_weighted=is_by_weight(client_weighting),
        aggregator=ModelUpdateFactory(model_aggregator or MeanFactory()),
    )


def build_unweighted_mime_lite(
    model: FunctionalModel,
    base_optimizer: Optimizer,
    server_optimizer: Optimizer | None = None,
    *,
    model_aggregator: AggregationFactory | None = None,
) -> LearningProcess:
    """MimeLite in which every client that has examples counts as one."""
    return build_weighted_mime_lite(
        model,
        base_optimizer,
        server_optimizer,
        client_weighting=ClientWeighting.UNIFORM,
        model_aggregator=model_aggregator,
    )


def _mimicking_work(model: FunctionalModel, base: Optimizer) -> ClientWork:
    """The hyper-parameters are the whole state s; the update has c_i as `gradient`."""
    s = base.initialize(model.initial_weights.trainable)
    steps, full_gradient = local_steps(model, _with_fixed_statistics(base), model.weights_type), gradient_work(model)

    @tf_computation(model.weights_type, infer_type(s))
    def start(weights: ModelWeights, s: State) -> Any:
        return OrderedDict(weights=weights, optimizer=s, metrics=no_metrics(model))

    @federated_computation(model.weights_type, infer_type(s), SequenceType(model.batch_type))
    def work(weights: Any, s: Any, batches: Any) -> Any:
        done = steps(start(weights, s), weights, weights, batches)
        c = full_gradient(weights, batches).gradient
        update = OrderedDict(trainable=done.update.trainable, non_trainable=done.update.non_trainable, gradient=c)
        return OrderedDict(update=update, weight=done.weight, metrics=done.metrics)

    def after(s: Hparams, aggregate: Any) -> Hparams:
        c = aggregate["gradient"]
        state, _ = base.next(s, c, c)  # V is the state; the weights that U would move are of no use here
        return OrderedDict((name, state[name]) for name in s)

    return ClientWork(s, work, after)


def _with_fixed_statistics(base: Optimizer) -> Optimizer:
    """U(g, s), and s as it was."""

    def step(state: State, weights: Any, gradients: Any) -> tuple[State, Any]:
        return state, base.next(state, weights, gradients)[1]

    return Optimizer(base.hparams, base.slots, step, base.first)
