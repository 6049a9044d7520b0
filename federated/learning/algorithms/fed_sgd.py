"""FedSGD: clients send the gradient of their whole loss, and the server takes one step along the mean.

McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data" (2017), section 2: the
baseline that federated averaging improves on; with all clients in a round it is gradient descent on all examples.
"""

from collections import OrderedDict
from typing import Any

import numpy as np

from federated.aggregators.process import AggregationFactory
from federated.backends.tf_computation import tf_computation
from federated.language.computation import Computation, federated_computation
from federated.language.inference import infer_type
from federated.language.operators import sequence_reduce
from federated.language.types import SequenceType
from federated.learning.client_work import ClientWork, added, gradient_of_batch, no_metrics
from federated.learning.composing import compose
from federated.learning.models import FunctionalModel, ModelWeights
from federated.learning.optimizers import Optimizer, build_sgdm
from federated.learning.process import LearningProcess


def build_fed_sgd(
    model: FunctionalModel,
    server_optimizer_fn: Optimizer | None = None,
    *,
    model_aggregator: AggregationFactory | None = None,
) -> LearningProcess:
    """FedSGD.

    Args:
        server_optimizer_fn: None for gradient descent of rate 0.1.
        model_aggregator: what becomes of the clients' gradients; None for their mean.
    """
    server = server_optimizer_fn or build_sgdm(0.1)
    return compose(model, _descending_work(model), server, is_weighted=True, aggregator=model_aggregator)


def gradient_work(model: FunctionalModel) -> Computation:
    """`(<weights=W,batches=B*> -> <gradient=…,statistics=…,metrics=M>)`: g = Σ_b n_b ∇L_b(w) / Σ_b n_b.

    All at the same weights; the statistics are what batches changed of the model's, averaged in the same way.
    """
    initial = model.initial_weights
    zero = OrderedDict(
        gradient=[np.zeros_like(w) for w in initial.trainable],
        statistics=[np.zeros_like(s) for s in initial.non_trainable],
        metrics=no_metrics(model),
    )

    @tf_computation(infer_type(zero), model.batch_type, model.weights_type)
    def step(total: Any, batch: Any, weights: ModelWeights) -> Any:
        gradient, statistics, metrics = gradient_of_batch(model, weights, batch)
        count = metrics["num_examples"]
        moved = [new - old for new, old in zip(statistics, weights.non_trainable, strict=True)]
        return OrderedDict(
            gradient=[g0 + count * g for g0, g in zip(total["gradient"], gradient, strict=True)],
            statistics=[s0 + count * s for s0, s in zip(total["statistics"], moved, strict=True)],
            metrics=added(total["metrics"], metrics),
        )

    @tf_computation(infer_type(zero))
    def finish(total: Any) -> Any:
        from federated.backends.mathematics import maximum

        count = maximum(total["metrics"]["num_examples"], 1.0)
        return OrderedDict(
            gradient=[g / count for g in total["gradient"]],
            statistics=[s / count for s in total["statistics"]],
            metrics=total["metrics"],
        )

    @federated_computation(model.weights_type, SequenceType(model.batch_type))
    def work(weights: Any, batches: Any) -> Any:
        return finish(sequence_reduce(batches, zero, lambda pair: step(pair[0], pair[1], weights)))

    return work


def _descending_work(model: FunctionalModel) -> ClientWork:
    """−g as the update."""
    gradient = gradient_work(model)
    hparams: OrderedDict[str, Any] = OrderedDict()

    @tf_computation(gradient.type_signature.result)
    def descend(found: Any) -> Any:
        update = OrderedDict(trainable=[-g for g in found["gradient"]], non_trainable=list(found["statistics"]))
        return OrderedDict(update=update, weight=found["metrics"]["num_examples"], metrics=found["metrics"])

    @federated_computation(model.weights_type, infer_type(hparams), SequenceType(model.batch_type))
    def work(weights: Any, hparams: Any, batches: Any) -> Any:
        return descend(gradient(weights, batches))

    return ClientWork(hparams, work)
