"""Personalisation evaluation: how much better is the model on a client's examples after that client fine-tuned it?

Each client evaluates the model, trains it on its own examples, and evaluates what came of it. Wang, Mathews, Kiddon,
Eichner, Beaufays and Ramage, "Federated Evaluation of On-device Personalization" (2019), section 3. The mean over
examples hides clients for whom it got worse, so the distribution over clients is reported too, from histograms.
"""

from collections import OrderedDict
from typing import Any

import numpy as np

from federated.analytics.reading import quantiles_of_counts
from federated.backends.tf_computation import tf_computation
from federated.language.computation import federated_computation
from federated.language.errors import MisuseError
from federated.language.operators import federated_broadcast, federated_map, federated_sum, federated_zip
from federated.language.origin import here
from federated.language.placements import CLIENTS, SERVER
from federated.language.types import FederatedType, SequenceType, StructType, TensorType
from federated.learning.algorithms.fed_eval import Evaluation
from federated.learning.client_work import evaluation_work, means_of, training_work
from federated.learning.models import FunctionalModel
from federated.learning.optimizers import Optimizer

BINS = 100
PERCENTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


def build_personalization_eval(
    model: FunctionalModel, client_optimizer_fn: Optimizer, metric: str | None = None
) -> Evaluation:
    """The evaluation before and after fine-tuning.

    Args:
        metric: a metric of the model from 0 to 1, such as an accuracy, whose distribution over clients is reported;
            None for the model's only one.

    Returns:
        `["before"]`, `["after"]`: the means over all examples, and at `["percentiles"]` the 10th (the worst decile)
        to the 90th percentile over clients, float32[5].

    Raises:
        MisuseError: the model has no such metric.
    """
    chosen = metric or (next(iter(model.metrics)) if len(model.metrics) == 1 else None)
    if chosen not in model.metrics:
        raise MisuseError(
            f"the model's metrics are {', '.join(model.metrics) or 'none'}, found {metric!r}",
            where=here(),
            fix="give the model a metric from 0 to 1, and name it",
        )
    training, evaluation = training_work(model, client_optimizer_fn), evaluation_work(model)
    sums_type = evaluation.type_signature.result
    assert isinstance(sums_type, StructType)  # noqa: S101 - as `evaluation_work` says

    @tf_computation(model.weights_type, training.work.type_signature.result["update"])  # type: ignore[index]
    def moved(weights: Any, update: Any) -> Any:
        trainable = [w + d for w, d in zip(weights.trainable, update["trainable"], strict=True)]
        statistics = [s + d for s, d in zip(weights.non_trainable, update["non_trainable"], strict=True)]
        return type(weights)(trainable, statistics)

    @tf_computation(sums_type)
    def placed(sums: Any) -> Any:
        from federated.backends.mathematics import cast, clip, floor, maximum, one_hot, sign

        value = sums[chosen] / maximum(sums["num_examples"], 1.0)
        place = cast(clip(floor(value * BINS), 0.0, BINS - 1.0), "int32")
        return cast(one_hot(place, BINS) * sign(sums["num_examples"]), "int32")

    @tf_computation(sums_type, TensorType(np.int32, [BINS]))
    def report(sums: Any, counts: Any) -> Any:
        percentiles = quantiles_of_counts(counts, PERCENTILES, 0.0, 1.0)
        return OrderedDict(means_of(sums), percentiles=percentiles)

    hparams = OrderedDict(training.hparams)

    @federated_computation(
        FederatedType(model.weights_type, SERVER), FederatedType(SequenceType(model.batch_type), CLIENTS)
    )
    def evaluate(weights: Any, data: Any) -> Any:
        def both(own: Any) -> Any:
            initial, batches = own
            before = evaluation(initial, batches)
            trained = moved(initial, training.work(initial, hparams, batches).update)
            after = evaluation(trained, batches)
            return OrderedDict(before=before, after=after, counts=(placed(before), placed(after)))

        done = federated_map(both, (federated_broadcast(weights), data))
        counts = federated_sum(done.counts)
        before = federated_map(report, (federated_sum(done.before), counts[0]))
        after = federated_map(report, (federated_sum(done.after), counts[1]))
        return federated_zip(OrderedDict(before=before, after=after))

    return Evaluation(evaluate)
