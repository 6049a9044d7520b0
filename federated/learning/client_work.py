"""What a client does with a model: goes through its batches, one optimizer step a batch, and counts.

    local training      w₀ = w;  w ← w − η ∇L_b(w) for every batch b;  update = w − w₀, weight = its examples

with L_b(w) = Σ_i m_i l_i(w) / Σ_i m_i over the examples of a batch, m_i being 0 for padding.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from federated.backends.tf_computation import tf_computation
from federated.language.computation import Computation, federated_computation
from federated.language.inference import infer_type
from federated.language.operators import sequence_reduce
from federated.language.types import FunctionType, SequenceType, StructType, Type, to_type
from federated.learning.models import FunctionalModel, ModelWeights
from federated.learning.optimizers import Optimizer

Hparams = OrderedDict[str, Any]
Pull = Callable[[list[Any], Any], list[Any]]
"""What an algorithm adds to the gradient: from the weights, and what they are held to, such as those at the start."""


def unchanged(hparams: Hparams, aggregate: Any) -> Hparams:
    """The hyper-parameters as they were before the round."""
    return hparams


@dataclass(frozen=True)
class ClientWork:
    """What clients do in a round.

    Attributes:
        hparams: its hyper-parameters, which the server keeps and broadcasts.
        work: `(<weights=W,hparams=H,batches=B*> -> <update=…,weight=float32,metrics=M>)`.
        after: `(hparams, aggregate of the updates) -> hparams`, what the server makes of them after a round; on
            tensors.
        first: for work that goes on with what a client kept, what it keeps before it has kept anything:
            `(<weights=W,hparams=H> -> K)`. Then `work` takes `kept=K` as well, the last, and gives it beside the rest.
    """

    hparams: Hparams
    work: Computation
    after: Callable[[Hparams, Any], Hparams] = unchanged
    first: Computation | None = None


def training_work(model: FunctionalModel, optimizer: Optimizer, pull: Pull | None = None) -> ClientWork:
    """Local training.

    Args:
        pull: for algorithms whose clients minimise something else than their loss, such as FedProx; what weights are
            held to is the model that the client started from.
    """
    hparams = hparams_of(optimizer)
    start, steps = first_step(model, optimizer), local_steps(model, optimizer, model.weights_type, pull)

    @federated_computation(model.weights_type, infer_type(hparams), SequenceType(model.batch_type))
    def work(weights: Any, hparams: Any, batches: Any) -> Any:
        return steps(start(weights, hparams), weights, weights, batches)

    return ClientWork(hparams, work)


def hparams_of(optimizer: Optimizer) -> Hparams:
    """What the server keeps and broadcasts of a clients' optimizer."""
    return OrderedDict((name, np.float32(value)) for name, value in optimizer.hparams.items())


def first_step(model: FunctionalModel, optimizer: Optimizer) -> Computation:
    """`(<weights=W,hparams=H> -> <weights=W,optimizer=O,metrics=M>)`: what a client begins with, its slots anew."""
    hparams = hparams_of(optimizer)
    first = optimizer.initialize(model.initial_weights.trainable)
    slots = [name for name in first if name not in hparams]

    @tf_computation(model.weights_type, infer_type(hparams))
    def start(weights: ModelWeights, given: Hparams) -> Any:
        state = OrderedDict((name, first[name] if name in slots else given[name]) for name in first)
        return OrderedDict(weights=weights, optimizer=state, metrics=no_metrics(model))

    return start


def local_steps(
    model: FunctionalModel, optimizer: Optimizer, anchor_type: Type, pull: Pull | None = None
) -> Computation:
    """One optimizer step a batch.

    Args:
        anchor_type: A, of what `pull` gets beside the weights.

    Returns:
        `(<total=<weights=W,optimizer=O,metrics=M>,initial=W,anchor=A,batches=B*> -> <update=…,weight=…,metrics=M>)`.
    """
    first = optimizer.initialize(model.initial_weights.trainable)
    carry = to_type(OrderedDict(weights=model.weights_type, optimizer=infer_type(first), metrics=metrics_type(model)))

    @tf_computation(carry, model.batch_type, anchor_type)
    def step(total: Any, batch: Any, anchor: Any) -> Any:
        gradient, non_trainable, metrics = gradient_of_batch(model, total["weights"], batch)
        if pull is not None:
            more = pull(total["weights"].trainable, anchor)
            gradient = [g + extra for g, extra in zip(gradient, more, strict=True)]
        state, trainable = optimizer.next(total["optimizer"], total["weights"].trainable, gradient)
        return OrderedDict(
            weights=ModelWeights(list(trainable), list(non_trainable)),
            optimizer=OrderedDict((name, state[name]) for name in first),
            metrics=added(total["metrics"], metrics),
        )

    @tf_computation(carry, model.weights_type)
    def finish(total: Any, initial: ModelWeights) -> Any:
        after = total["weights"]
        update = OrderedDict(
            trainable=[w - w0 for w, w0 in zip(after.trainable, initial.trainable, strict=True)],
            non_trainable=[s - s0 for s, s0 in zip(after.non_trainable, initial.non_trainable, strict=True)],
        )
        return OrderedDict(update=update, weight=total["metrics"]["num_examples"], metrics=total["metrics"])

    @federated_computation(carry, model.weights_type, anchor_type, SequenceType(model.batch_type))
    def steps(total: Any, initial: Any, anchor: Any, batches: Any) -> Any:
        return finish(sequence_reduce(batches, total, lambda pair: step(pair[0], pair[1], anchor)), initial)

    return steps


def followed_by(clients: ClientWork, change: Callable[[Any, Any], Any]) -> ClientWork:
    """The same work, and then `change(what it came to, hparams)`, a function of values of the federated language."""
    signature = clients.work.type_signature
    assert isinstance(signature, FunctionType)  # noqa: S101 - as `ClientWork` says
    assert isinstance(signature.parameter, StructType)  # noqa: S101 - as `ClientWork` says

    if clients.first is None:

        def work(weights: Any, hparams: Any, batches: Any) -> Any:
            return change(clients.work(weights, hparams, batches), hparams)
    else:

        def work(weights: Any, hparams: Any, batches: Any, kept: Any) -> Any:  # type: ignore[misc]
            done = clients.work(weights, hparams, batches, kept)
            return OrderedDict(change(done, hparams), kept=done.kept)

    return replace(clients, work=federated_computation(work, *signature.parameter))


def evaluation_work(model: FunctionalModel) -> Computation:
    """`(<weights=W,batches=B*> -> M)`: the sums of the loss and the metrics over a client's examples."""
    zero = no_metrics(model)

    @tf_computation(infer_type(zero), model.batch_type, model.weights_type)
    def step(total: Any, batch: Any, weights: ModelWeights) -> Any:
        outputs, _ = model.forward(weights.trainable, weights.non_trainable, batch["x"], None)
        return added(total, _measured(model, outputs, batch, weights.trainable))

    @federated_computation(model.weights_type, SequenceType(model.batch_type))
    def work(weights: Any, batches: Any) -> Any:
        return sequence_reduce(batches, zero, lambda pair: step(pair[0], pair[1], weights))

    return work


def metrics_type(model: FunctionalModel) -> Type:
    """The type of the sums that clients report."""
    return infer_type(no_metrics(model))


def means_of(sums: Any) -> Any:
    """What is reported of sums over clients: means over examples, and how many there were."""
    count = sums["num_examples"]
    means = OrderedDict((name, total / count) for name, total in sums.items() if not name.startswith("num_"))
    return OrderedDict(means, num_examples=count, num_batches=sums["num_batches"])


def gradient_of_batch(model: FunctionalModel, weights: ModelWeights, batch: Any) -> tuple[Any, Any, Any]:
    """∇L_b(w) of the trainable weights, the non-trainable ones after the batch, and the batch's metrics, summed."""
    from federated.backends.mathematics import differentiating

    with differentiating(weights.trainable) as gradient_of:
        outputs, non_trainable = model.forward(weights.trainable, weights.non_trainable, batch["x"], batch["weight"])
        metrics = _measured(model, outputs, batch, weights.trainable)
        loss = metrics["loss"] / _nonzero(metrics["num_examples"])
    return gradient_of(loss), non_trainable, metrics


def _measured(model: FunctionalModel, outputs: Any, batch: Any, trainable: Any) -> Any:
    from federated.backends.mathematics import total

    weight = batch["weight"]
    count = total(weight)
    loss = total(weight * model.loss(batch["y"], outputs))
    if model.penalty is not None:
        loss = loss + model.penalty(trainable) * count
    values = OrderedDict((name, total(weight * metric(batch["y"], outputs))) for name, metric in model.metrics.items())
    return OrderedDict(loss=loss, **values, num_examples=count, num_batches=count * 0 + 1)


def no_metrics(model: FunctionalModel) -> Any:
    """The sums of no examples."""
    names = ("loss", *model.metrics, "num_examples", "num_batches")
    return OrderedDict((name, np.float32(0)) for name in names)


def added(totals: Any, more: Any) -> Any:
    """The sums of two sets of examples."""
    return OrderedDict((name, totals[name] + more[name]) for name in totals)


def _nonzero(count: Any) -> Any:
    """A count as a divisor: itself, or 1 where it is 0."""
    from federated.backends.mathematics import sign

    return count + (1 - sign(count))
