"""FedProx: clients minimise their loss plus μ/2 ‖w − w₀‖², so that they do not drift far from the server's model w₀.

Li, Sahu, Zaheer, Sanjabi, Talwalkar and Smith, "Federated Optimization in Heterogeneous Networks" (2020), Algorithm 2:
the gradient gets + μ (w − w₀). (TensorFlow Federated 0.87 subtracts it, which pushes clients away.)
"""

from typing import Any

from federated.aggregators.process import AggregationFactory
from federated.learning.client_work import Pull, training_work
from federated.learning.composing import compose
from federated.learning.models import FunctionalModel, ModelWeights
from federated.learning.optimizers import Optimizer, build_sgdm
from federated.learning.process import LearningProcess
from federated.learning.weighting import ClientWeighting, Weighting, is_by_weight, weighted_by


def build_weighted_fed_prox(
    model: FunctionalModel,
    proximal_strength: float,
    client_optimizer_fn: Optimizer,
    server_optimizer_fn: Optimizer | None = None,
    *,
    client_weighting: Weighting = ClientWeighting.NUM_EXAMPLES,
    model_aggregator: AggregationFactory | None = None,
) -> LearningProcess:
    """FedProx in which a client counts by its examples.

    Args:
        proximal_strength: μ; the other parameters are as in `build_weighted_fed_avg`.
    """
    clients = training_work(model, client_optimizer_fn, towards_the_server(proximal_strength))
    return compose(
        model,
        weighted_by(clients, client_weighting),
        server_optimizer_fn or build_sgdm(1.0),
        is_weighted=is_by_weight(client_weighting),
        aggregator=model_aggregator,
    )


def build_unweighted_fed_prox(
    model: FunctionalModel,
    proximal_strength: float,
    client_optimizer_fn: Optimizer,
    server_optimizer_fn: Optimizer | None = None,
    *,
    model_aggregator: AggregationFactory | None = None,
) -> LearningProcess:
    """FedProx in which every client that has examples counts as one."""
    return build_weighted_fed_prox(
        model,
        proximal_strength,
        client_optimizer_fn,
        server_optimizer_fn,
        client_weighting=ClientWeighting.UNIFORM,
        model_aggregator=model_aggregator,
    )


def towards_the_server(mu: float) -> Pull:
    """μ (w − w₀)."""

    def pull(weights: list[Any], initial: ModelWeights) -> list[Any]:
        return [mu * (w - w0) for w, w0 in zip(weights, initial.trainable, strict=True)]

    return pull
