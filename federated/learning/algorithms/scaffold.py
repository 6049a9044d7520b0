"""SCAFFOLD: each client corrects its steps by how its own gradient differs from that of all.

Karimireddy, Kale, Mohri, Reddi, Stich and Suresh, "SCAFFOLD: Stochastic Controlled Averaging for Federated Learning"
(2020), Algorithm 1. With memory at clients, option II for the control variates, over K_i batches:

    at client i     y_i ← x;  y_i ← y_i − η (∇L_b(y_i) − c_i + c) for every batch b
                    c_i⁺ = c_i − c + (x − y_i) / (K_i η)
    at the server   x ← x + mean of (y_i − x);  c ← c + Σ (c_i⁺ − c_i) / N

where N is the number of all clients, and c_i and c are 0 at first. Without memory, option I at the server's model:

    at client i     c_i = ∇f_i(x);  y_i as above
    at the server   x as above;  c ← c + β (mean of c_i − c)

Departure of the second: in the paper c_i is of the last round in which the client took part. There it is found anew at
x, from all of the client's examples: one more pass over them. It is never stale, and the optimum is still where rounds
come to rest, for there c is 0, and c_i takes back what the client's own loss would change. c is of the round before, as
in the paper, where β = |S|/N. In the first round nothing is known of c, and there is no correction, as in the paper's,
whose c_i are 0.
"""

from collections import OrderedDict
from typing import Any

import numpy as np

from federated.aggregators.mean import MeanFactory
from federated.aggregators.process import AggregationFactory
from federated.aggregators.sums import SumFactory
from federated.backends.tf_computation import tf_computation
from federated.language.computation import federated_computation
from federated.language.errors import MisuseError
from federated.language.inference import infer_type
from federated.language.origin import here
from federated.language.types import SequenceType
from federated.learning.algorithms.fed_sgd import gradient_work
from federated.learning.client_work import ClientWork, Hparams, first_step, hparams_of, local_steps
from federated.learning.composing import compose
from federated.learning.model_updates import ModelUpdateFactory
from federated.learning.models import FunctionalModel
from federated.learning.optimizers import Optimizer, build_sgdm
from federated.learning.process import LearningProcess
from federated.learning.weighting import ClientWeighting, Weighting, is_by_weight, weighted_by


def build_scaffold(
    model: FunctionalModel,
    client_optimizer_fn: Optimizer,
    num_clients: int,
    server_optimizer_fn: Optimizer | None = None,
    *,
    model_aggregator: AggregationFactory | None = None,
) -> LearningProcess:
    """SCAFFOLD with memory at clients, each of which counts as one.

    Args:
        client_optimizer_fn: `build_sgdm` without momentum: c_i⁺ is known for no other.
        num_clients: N, of all clients, not those of a round.
        server_optimizer_fn: takes minus the mean of y_i − x as the gradient; None for gradient descent of rate 1.
        model_aggregator: what becomes of the y_i − x; None for their mean. The c_i⁺ − c_i are summed.

    Raises:
        MisuseError: the clients' optimizer is another, or there are no clients.
    """
    if client_optimizer_fn.hparams.keys() != {"learning_rate"}:
        raise MisuseError(
            "SCAFFOLD's clients descend along the gradient, without momentum; found an optimizer with "
            + ", ".join(client_optimizer_fn.hparams),
            where=here(),
            fix="client_optimizer_fn=fed.learning.optimizers.build_sgdm(…); build_stateless_scaffold takes any",
        )
    if num_clients < 1:
        raise MisuseError(f"num_clients is the number of all clients, found {num_clients}", where=here())
    return compose(
        model,
        _remembering_work(model, client_optimizer_fn, num_clients),
        server_optimizer_fn or build_sgdm(1.0),
        is_weighted=False,
        aggregator=ModelUpdateFactory(model_aggregator or MeanFactory(), others=SumFactory()),
    )


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
        weighted_by(_controlled_work(model, client_optimizer_fn, control_rate), client_weighting),
        server_optimizer_fn or build_sgdm(1.0),
        is_weighted=is_by_weight(client_weighting),
        aggregator=ModelUpdateFactory(model_aggregator or MeanFactory()),
    )


def _remembering_work(model: FunctionalModel, optimizer: Optimizer, num_clients: int) -> ClientWork:
    """A client keeps c_i; the hyper-parameters hold c; the update has c_i⁺ − c_i as `control`."""
    zeros = [np.zeros_like(w) for w in model.initial_weights.trainable]
    own = hparams_of(optimizer)
    hparams = OrderedDict(own, num_clients=np.float32(num_clients), control=zeros)
    hparams_type, controls = infer_type(hparams), infer_type(zeros)
    start = first_step(model, optimizer)
    steps = local_steps(model, optimizer, controls, lambda weights, correction: list(correction))

    @tf_computation(model.weights_type, hparams_type)
    def first(weights: Any, given: Hparams) -> Any:
        return [0 * c for c in given["control"]]

    @tf_computation(hparams_type, controls)
    def correction(given: Hparams, kept: Any) -> Any:
        return [c - c_i for c, c_i in zip(given["control"], kept, strict=True)]

    @tf_computation(hparams_type, controls, controls, np.float32)
    def changed(given: Hparams, kept: Any, delta: Any, k: Any) -> Any:
        from federated.backends.mathematics import maximum, sign

        way = given["learning_rate"] * maximum(k, 1.0)
        # A client without batches has learned nothing of its gradient, and keeps what it has.
        change = [sign(k) * (-c - d / way) for c, d in zip(given["control"], delta, strict=True)]
        return OrderedDict(change=change, kept=[c_i + d for c_i, d in zip(kept, change, strict=True)])

    @federated_computation(model.weights_type, hparams_type, SequenceType(model.batch_type), controls)
    def work(x: Any, given: Any, batches: Any, kept: Any) -> Any:
        begun = start(x, OrderedDict((name, getattr(given, name)) for name in own))
        done = steps(begun, x, correction(given, kept), batches)
        after = changed(given, kept, done.update.trainable, done.metrics.num_batches)
        update = OrderedDict(
            trainable=done.update.trainable, non_trainable=done.update.non_trainable, control=after.change
        )
        return OrderedDict(update=update, weight=done.weight, metrics=done.metrics, kept=after.kept)

    def after(given: Hparams, aggregate: Any) -> Hparams:
        share = 1 / given["num_clients"]
        c = [c + share * change for c, change in zip(given["control"], aggregate["control"], strict=True)]
        return OrderedDict(given, control=c)

    return ClientWork(hparams, work, after, first)


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
