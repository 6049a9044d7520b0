"""FedProx: clients minimise their loss plus μ/2 ‖w − w₀‖², so that they do not drift far from the server's model w₀.

Li, Sahu, Zaheer, Sanjabi, Talwalkar and Smith, "Federated Optimization in Heterogeneous Networks" (2020), Algorithm 2:
the gradient gets + μ (w − w₀). (TensorFlow Federated 0.87 subtracts it, which pushes clients away.)
"""

from typing import Any

from federated.aggregators.process import AggregationFactory
from federated.learning.client_work import Pull, training_work
from federated.learning.composing import compose
from federated.learning.models import FunctionalModel
from federated.learning.optimizers import Optimizer, build_sgdm
from federated.learning.process import LearningProcess


def build_weighted_fed_prox(
    model: FunctionalModel,
    proximal_strength: float,
    client_optimizer_fn: Optimizer,
    server_optimizer_fn: Optimizer | None = None,
    *,
    model_aggregator: AggregationFactory | None = None,
) -> LearningProcess:
    """FedProx in which a client counts by its examples.

    Args:
        proximal_strength: μ.
    """
    clients = training_work(model, client_optimizer_fn, _towards_the_server(proximal_strength))
    return compose(
        model, clients, server_optimizer_fn or build_sgdm(1.0), is_weighted=True, aggregator=model_aggregator
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
    clients = training_work(model, client_optimizer_fn, _towards_the_server(proximal_strength))
    return compose(
        model, clients, server_optimizer_fn or build_sgdm(1.0), is_weighted=False, aggregator=model_aggregator
    )


def _towards_the_server(mu: float) -> Pull:
    def pull(weights: list[Any], initial: list[Any]) -> list[Any]:
        return [mu * (w - w0) for w, w0 in zip(weights, initial, strict=True)]

    return pull
