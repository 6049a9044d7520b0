"""Federated averaging: clients train on their own examples, the server takes the mean of what they changed.

McMahan, Moore, Ramage, Hampson and Agüera y Arcas, "Communication-Efficient Learning of Deep Networks from
Decentralized Data" (2017), Algorithm 1. The server treats minus the mean as a gradient, as in Reddi et al., "Adaptive
Federated Optimization" (2021), Algorithm 1: with gradient descent of rate 1 that is the paper's mean of models.
"""

from federated.aggregators.process import AggregationFactory
from federated.learning.client_work import training_work
from federated.learning.composing import compose
from federated.learning.models import FunctionalModel
from federated.learning.optimizers import Optimizer, build_sgdm
from federated.learning.process import LearningProcess
from federated.learning.weighting import ClientWeighting, Weighting, is_by_weight, weighted_by


def build_weighted_fed_avg(
    model: FunctionalModel,
    client_optimizer_fn: Optimizer,
    server_optimizer_fn: Optimizer | None = None,
    *,
    client_weighting: Weighting = ClientWeighting.NUM_EXAMPLES,
    model_aggregator: AggregationFactory | None = None,
) -> LearningProcess:
    """Federated averaging in which a client counts by its examples.

    Args:
        client_optimizer_fn: the clients' optimizer, which starts anew in every round.
        server_optimizer_fn: the server's; None for gradient descent of rate 1.
        client_weighting: what else a client counts by.
        model_aggregator: what becomes of the clients' updates; None for their mean.
    """
    return compose(
        model,
        weighted_by(training_work(model, client_optimizer_fn), client_weighting),
        server_optimizer_fn or build_sgdm(1.0),
        is_weighted=is_by_weight(client_weighting),
        aggregator=model_aggregator,
    )


def build_unweighted_fed_avg(
    model: FunctionalModel,
    client_optimizer_fn: Optimizer,
    server_optimizer_fn: Optimizer | None = None,
    *,
    model_aggregator: AggregationFactory | None = None,
) -> LearningProcess:
    """Federated averaging in which every client that has examples counts as one."""
    clients = training_work(model, client_optimizer_fn)
    return compose(
        model, clients, server_optimizer_fn or build_sgdm(1.0), is_weighted=False, aggregator=model_aggregator
    )
