"""Federated averaging whose clients' learning rate is a function of the round.

With several local steps and a constant rate, federated averaging comes to rest beside the optimum; Li, Huang, Yang,
Wang and Zhang, "On the Convergence of FedAvg on Non-IID Data" (2020), theorem 1, needs a rate that falls with the
rounds. The server keeps the number of the round and broadcasts it.
"""

from collections import OrderedDict
from dataclasses import replace
from typing import Any

from federated.aggregators.process import AggregationFactory
from federated.learning.client_work import Hparams, training_work
from federated.learning.composing import compose
from federated.learning.models import FunctionalModel
from federated.learning.optimizers import Optimizer, build_sgdm
from federated.learning.optimizers.schedule import Schedule, scheduled
from federated.learning.process import LearningProcess
from federated.learning.weighting import ClientWeighting, Weighting, is_by_weight, weighted_by


def build_weighted_fed_avg_with_optimizer_schedule(
    model: FunctionalModel,
    client_learning_rate_fn: Schedule,
    client_optimizer_fn: Optimizer | None = None,
    server_optimizer_fn: Optimizer | None = None,
    *,
    client_weighting: Weighting = ClientWeighting.NUM_EXAMPLES,
    model_aggregator: AggregationFactory | None = None,
) -> LearningProcess:
    """Federated averaging with a schedule; the other parameters are as in `build_weighted_fed_avg`.

    Args:
        client_learning_rate_fn: the clients' learning rate for the number of the round, 0 for the first.
        client_optimizer_fn: the clients' optimizer, whose own learning rate has no meaning; None for gradient descent.
        server_optimizer_fn: may have a schedule too: `fed.learning.optimizers.schedule_learning_rate`.
    """
    optimizer = scheduled(client_optimizer_fn or build_sgdm(1.0), client_learning_rate_fn, steps=0)
    clients = replace(training_work(model, optimizer), after=_next_round)
    return compose(
        model,
        weighted_by(clients, client_weighting),
        server_optimizer_fn or build_sgdm(1.0),
        is_weighted=is_by_weight(client_weighting),
        aggregator=model_aggregator,
    )


def _next_round(hparams: Hparams, aggregate: Any) -> Hparams:
    return OrderedDict(hparams, round_number=hparams["round_number"] + 1)
