"""SCAFFOLD without memory at clients: each corrects its steps by how its own gradient differs from the others'.

Karimireddy, Kale, Mohri, Reddi, Stich and Suresh, "SCAFFOLD: Stochastic Controlled Averaging for Federated Learning"
(2020), Algorithm 1 with option I for the control variates:

    at client i     c_i = ∇f_i(x);  y_i ← x;  y_i ← y_i − η (∇L_b(y_i) − c_i + c) for every batch b
    at the server   x ← x + mean of (y_i − x);  c ← c + β (mean of c_i − c)

Departure: in the paper c_i is the gradient of the last round in which the client took part, and the client keeps it.
Here nothing stays at a client from one round to the next (and most devices of a fleet never come twice), so c_i is
found anew at x, from all of the client's examples: one more pass over them. It is never stale, and the optimum is still
where rounds come to rest, for there c is 0, and c_i takes back what the client's own loss would change. c is of the
round before, as in the paper, where β = |S|/N. In the first round nothing is known of c, and there is no correction, as
in the paper's, whose c_i are 0.
"""

from collections import OrderedDict
from typing import Any

import numpy as np

from federated.aggregators.mean import MeanFactory
from federated.aggregators.process import AggregationFactory
from federated.backends.tf_computation import tf_computation
from federated.language.computation import federated_computation
from federated.language.inference import infer_type
from federated.language.types import SequenceType
from federated.learning.algorithms.fed_sgd import gradient_work
from federated.learning.client_work import ClientWork, Hparams, first_step, hparams_of, local_steps
from federated.learning.composing import compose
from federated.learning.model_updates import ModelUpdateFactory
from federated.learning.models import FunctionalModel
from federated.learning.optimizers import Optimizer, build_sgdm
from federated.learning.process import LearningProcess
from federated.learning.weighting import ClientWeighting, Weighting, is_by_weight, weighted_by


def build_stateless_scaffold(
    model: FunctionalModel,
    client_optimizer_fn: Optimizer,
    server_optimizer_fn: Optimizer | None = None,
    *,
    control_rate: float = 1.0,
    client_weighting: Weighting = ClientWeighting.NUM_EXAMPLES,
    model_aggregator: AggregationFactory | None = None,
) -> LearningProcess:
    """SCAFFOLD without memory at clients.

    Args:
        control_rate: β: with few clients a round, a smaller one makes c less noisy, and staler.
        client_weighting: what a client counts by, in both means.
        model_aggregator: what becomes of the y_i − x; None for their mean. The c_i are averaged.
    """
    return compose(
        model,
        weighted_by(model, _controlled_work(model, client_optimizer_fn, control_rate), client_weighting),
        server_optimizer_fn or build_sgdm(1.0),
        is_weighted=is_by_weight(client_weighting),
        aggregator=ModelUpdateFactory(model_aggregator or MeanFactory()),
    )


def _controlled_work(model: FunctionalModel, optimizer: Optimizer, control_rate: float) -> ClientWork:
    """The hyper-parameters hold c, and 1 for `is_known` after the first round; the update has c_i as `control`."""
    c_0 = [np.zeros_like(w) for w in model.initial_weights.trainable]
    own = hparams_of(optimizer)
    hparams = OrderedDict(own, control_rate=np.float32(control_rate), is_known=np.float32(0), control=c_0)
    start, full_gradient = first_step(model, optimizer), gradient_work(model)
    steps = local_steps(model, optimizer, infer_type(c_0), lambda weights, correction: list(correction))

    @tf_computation(infer_type(hparams), infer_type(c_0))
    def correction(given: Hparams, control: Any) -> Any:
        return [given["is_known"] * (c - c_i) for c, c_i in zip(given["control"], control, strict=True)]

    @federated_computation(model.weights_type, infer_type(hparams), SequenceType(model.batch_type))
    def work(x: Any, given: Any, batches: Any) -> Any:
        c_i = full_gradient(x, batches).gradient
        first = start(x, OrderedDict((name, getattr(given, name)) for name in own))
        done = steps(first, x, correction(given, c_i), batches)
        update = OrderedDict(trainable=done.update.trainable, non_trainable=done.update.non_trainable, control=c_i)
        return OrderedDict(update=update, weight=done.weight, metrics=done.metrics)

    def after(given: Hparams, aggregate: Any) -> Hparams:
        # The first mean is c itself: there is nothing to move it away from.
        beta = 1 - given["is_known"] * (1 - given["control_rate"])
        c = [c + beta * (mean - c) for c, mean in zip(given["control"], aggregate["control"], strict=True)]
        return OrderedDict(given, is_known=given["is_known"] * 0 + 1, control=c)

    return ClientWork(hparams, work, after)
