"""Ditto: each client has a model v of its own besides the global w, and trains it towards its examples and w at once.

Li, Hu, Beirami and Smith, "Ditto: Fair and Robust Federated Learning Through Personalization" (2021), Algorithm 1:

    v_k = argmin  F_k(v) + λ/2 ‖v − w*‖²

    at client k     w_k ← w;    w_k ← w_k − η ∇L_b(w_k)                     for every batch b
                    v_k ← v_k − η_v (∇L_b(v_k) + λ (v_k − w))               for every batch b
    at the server   w ← w + mean of (w_k − w)

v_k stays at the client, which goes on from it when it takes part again; w is that of the round's beginning in both, and
trained as if there were no v. A client's first v_k is w, which the paper leaves open.
"""

from collections import OrderedDict
from typing import Any

from federated.aggregators.process import AggregationFactory
from federated.backends.tf_computation import tf_computation
from federated.language.computation import federated_computation
from federated.language.inference import infer_type
from federated.language.types import SequenceType
from federated.learning.algorithms.fed_prox import towards_the_server
from federated.learning.client_work import (
    ClientWork,
    first_step,
    hparams_of,
    local_steps,
    metrics_type,
    training_work,
)
from federated.learning.composing import compose
from federated.learning.models import FunctionalModel, ModelWeights
from federated.learning.optimizers import Optimizer, build_sgdm
from federated.learning.process import LearningProcess
from federated.learning.weighting import ClientWeighting, Weighting, is_by_weight, weighted_by

PERSONAL = "personal_"
"""What the names of v's metrics and hyper-parameters begin with."""


def build_ditto(
    model: FunctionalModel,
    personal_strength: float,
    client_optimizer_fn: Optimizer,
    personal_optimizer_fn: Optimizer | None = None,
    server_optimizer_fn: Optimizer | None = None,
    *,
    client_weighting: Weighting = ClientWeighting.NUM_EXAMPLES,
    model_aggregator: AggregationFactory | None = None,
) -> LearningProcess:
    """Ditto around federated averaging. The metrics of v, while it is trained, are `personal_loss` and so on.

    Args:
        personal_strength: λ: the larger, the nearer v stays to w.
        client_optimizer_fn: makes the steps of w.
        personal_optimizer_fn: makes the steps of v; its slots begin anew with every round. None for that of w.
    """
    personal = personal_optimizer_fn or client_optimizer_fn
    return compose(
        model,
        weighted_by(_both(model, client_optimizer_fn, personal, personal_strength), client_weighting),
        server_optimizer_fn or build_sgdm(1.0),
        is_weighted=is_by_weight(client_weighting),
        aggregator=model_aggregator,
    )


def _both(model: FunctionalModel, optimizer: Optimizer, personal: Optimizer, strength: float) -> ClientWork:
    """The training of w, and of v, which the client keeps."""
    training = training_work(model, optimizer)
    own, of_v = hparams_of(optimizer), hparams_of(personal)
    hparams = OrderedDict(own, **{PERSONAL + name: value for name, value in of_v.items()})
    weights, hparams_type, metrics = model.weights_type, infer_type(hparams), metrics_type(model)
    start = first_step(model, personal)
    steps = local_steps(model, personal, weights, towards_the_server(strength))

    @tf_computation(weights, hparams_type)
    def first(w: ModelWeights, given: Any) -> ModelWeights:
        return w

    @tf_computation(weights, steps.type_signature.result["update"])  # type: ignore[index]
    def moved(v: ModelWeights, update: Any) -> ModelWeights:
        trainable = [old + delta for old, delta in zip(v.trainable, update["trainable"], strict=True)]
        statistics = [old + delta for old, delta in zip(v.non_trainable, update["non_trainable"], strict=True)]
        return ModelWeights(trainable, statistics)

    @tf_computation(metrics, metrics)
    def beside(of_w: Any, of_v: Any) -> Any:
        personal = {PERSONAL + name: value for name, value in of_v.items() if not name.startswith("num_")}
        return OrderedDict(of_w, **personal)

    @federated_computation(weights, hparams_type, SequenceType(model.batch_type), weights)
    def work(w: Any, given: Any, batches: Any, v: Any) -> Any:
        done = training.work(w, OrderedDict((name, getattr(given, name)) for name in own), batches)
        told = OrderedDict((name, getattr(given, PERSONAL + name)) for name in of_v)
        personal = steps(start(v, told), v, w, batches)
        return OrderedDict(
            update=done.update,
            weight=done.weight,
            metrics=beside(done.metrics, personal.metrics),
            kept=moved(v, personal.update),
        )

    return ClientWork(hparams, work, first=first)
