"""FedNova: clients that take more local steps than others pull the model no further for it.

Wang, Liu, Liang, Joshi and Poor, "Tackling the Objective Inconsistency Problem in Heterogeneous Federated Optimization"
(2020), section 4. Client i takes τ_i local steps; ‖a_i‖₁ is how often a gradient of it counts in what it changed, Δ_i:

    ‖a_i‖₁ = τ_i                                            gradient descent
    ‖a_i‖₁ = (τ_i − ρ (1 − ρ^τ_i) / (1 − ρ)) / (1 − ρ)      with momentum ρ
    d_i = −Δ_i / ‖a_i‖₁      τ_eff = Σ p_i ‖a_i‖₁           x ← x − τ_eff Σ p_i d_i

with p_i the client's share of the examples. (The paper's η is in Δ_i here, and in its a_i nowhere.) Equal steps give
federated averaging. Statistics that are not trained, such as a batch normalisation's, are averaged as they are.
"""

from collections import OrderedDict
from typing import Any

from federated.aggregators.mean import MeanFactory
from federated.aggregators.process import AggregationFactory
from federated.backends.tf_computation import tf_computation
from federated.language.errors import MisuseError
from federated.language.origin import here
from federated.learning.client_work import ClientWork, followed_by, training_work
from federated.learning.composing import compose
from federated.learning.model_updates import ModelUpdateFactory
from federated.learning.models import FunctionalModel
from federated.learning.optimizers import Optimizer, build_sgdm
from federated.learning.process import LearningProcess
from federated.learning.weighting import ClientWeighting, Weighting, is_by_weight, weighted_by


def build_fed_nova(
    model: FunctionalModel,
    client_optimizer_fn: Optimizer,
    server_optimizer_fn: Optimizer | None = None,
    *,
    client_weighting: Weighting = ClientWeighting.NUM_EXAMPLES,
    model_aggregator: AggregationFactory | None = None,
) -> LearningProcess:
    """FedNova.

    Args:
        client_optimizer_fn: `build_sgdm`, with or without momentum: a_i is known for no other.
        server_optimizer_fn: takes τ_eff Σ p_i d_i as the gradient; None for gradient descent of rate 1.
        model_aggregator: what becomes of the clients' −d_i; None for their mean.

    Raises:
        MisuseError: the clients' optimizer is another.
    """
    if not client_optimizer_fn.hparams.keys() <= {"learning_rate", "momentum"}:
        raise MisuseError(
            "FedNova's clients descend along the gradient, with or without momentum; found an optimizer with "
            + ", ".join(client_optimizer_fn.hparams),
            where=here(),
            fix="client_optimizer_fn=fed.learning.optimizers.build_sgdm(…); the server's may be any",
        )
    clients = _normalised(training_work(model, client_optimizer_fn))
    return compose(
        model,
        weighted_by(clients, client_weighting),
        server_optimizer_fn or build_sgdm(1.0),
        is_weighted=is_by_weight(client_weighting),
        aggregator=ModelUpdateFactory(model_aggregator or MeanFactory(), _rescaled),
    )


def _normalised(clients: ClientWork) -> ClientWork:
    """The work whose update is −d_i, and ‖a_i‖₁."""

    @tf_computation
    def normalise(update: Any, hparams: Any, steps: Any) -> Any:
        from federated.backends.mathematics import maximum

        a = _norm_of_a(steps, hparams)
        d = [delta / maximum(a, 1.0) for delta in update["trainable"]]  # ‖a‖₁ is at least 1, or 0 without a step
        return OrderedDict(trainable=d, non_trainable=list(update["non_trainable"]), norm_of_a=a)

    return followed_by(
        clients,
        lambda done, hparams: OrderedDict(
            update=normalise(done.update, hparams, done.metrics.num_batches), weight=done.weight, metrics=done.metrics
        ),
    )


def _norm_of_a(tau: Any, hparams: Any) -> Any:
    """‖a_i‖₁ for τ_i steps."""
    if "momentum" not in hparams:
        return tau
    from federated.backends.mathematics import power

    rho = hparams["momentum"]
    return (tau - rho * (1 - power(rho, tau)) / (1 - rho)) / (1 - rho)


def _rescaled(aggregate: Any) -> Any:
    """−Σ p_i d_i times τ_eff."""
    tau_eff = aggregate["norm_of_a"]
    return OrderedDict(aggregate, trainable=[tau_eff * d for d in aggregate["trainable"]])
