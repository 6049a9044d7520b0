"""FedAdagrad, FedAdam and FedYogi: the server takes what clients changed as a gradient, and steps adaptively along it.

Reddi, Charles, Zaheer, Garrett, Rush, Konečný, Kumar and McMahan, "Adaptive Federated Optimization" (2021),
Algorithm 2, element by element, with Δ_t the mean of what clients changed and v_{-1} = τ²:

    m_t = β₁ m_{t-1} + (1 − β₁) Δ_t
    v_t = v_{t-1} + Δ_t²                                        FedAdagrad
    v_t = v_{t-1} − (1 − β₂) Δ_t² sign(v_{t-1} − Δ_t²)          FedYogi
    v_t = β₂ v_{t-1} + (1 − β₂) Δ_t²                            FedAdam
    x_{t+1} = x_t + η m_t / (√v_t + τ)

Neither m nor v is corrected for its start, as the optimizers of `federated.learning.optimizers` do; those are for
`server_optimizer_fn=`. Departure: a client counts by its examples; the paper's mean is `ClientWeighting.UNIFORM`.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from federated.aggregators.process import AggregationFactory
from federated.learning.algorithms.fed_avg import build_weighted_fed_avg
from federated.learning.models import FunctionalModel
from federated.learning.optimizers import Optimizer
from federated.learning.optimizers.optimizer import State
from federated.learning.process import LearningProcess
from federated.learning.weighting import ClientWeighting, Weighting

Second = Callable[[Any, Any, Any], Any]
"""v_t, from v_{t-1}, Δ_t² and β₂."""


def build_fed_adagrad(
    model: FunctionalModel,
    client_optimizer_fn: Optimizer,
    learning_rate: float,
    *,
    beta_1: float = 0.0,
    tau: float = 1e-3,
    client_weighting: Weighting = ClientWeighting.NUM_EXAMPLES,
    model_aggregator: AggregationFactory | None = None,
) -> LearningProcess:
    """FedAdagrad.

    Args:
        learning_rate: η, the server's.
        tau: τ, how adaptive the step is: the smaller, the more.
    """
    # β₂ has no part in v; appendix D of the paper sets β₁ to 0.
    server = _server({"learning_rate": learning_rate, "beta_1": beta_1, "beta_2": 0.0, "tau": tau}, _adagrad)
    return build_weighted_fed_avg(
        model, client_optimizer_fn, server, client_weighting=client_weighting, model_aggregator=model_aggregator
    )


def build_fed_adam(
    model: FunctionalModel,
    client_optimizer_fn: Optimizer,
    learning_rate: float,
    *,
    beta_1: float = 0.9,
    beta_2: float = 0.99,
    tau: float = 1e-3,
    client_weighting: Weighting = ClientWeighting.NUM_EXAMPLES,
    model_aggregator: AggregationFactory | None = None,
) -> LearningProcess:
    """FedAdam; the parameters are as in `build_fed_adagrad`."""
    server = _server({"learning_rate": learning_rate, "beta_1": beta_1, "beta_2": beta_2, "tau": tau}, _adam)
    return build_weighted_fed_avg(
        model, client_optimizer_fn, server, client_weighting=client_weighting, model_aggregator=model_aggregator
    )


def build_fed_yogi(
    model: FunctionalModel,
    client_optimizer_fn: Optimizer,
    learning_rate: float,
    *,
    beta_1: float = 0.9,
    beta_2: float = 0.99,
    tau: float = 1e-3,
    client_weighting: Weighting = ClientWeighting.NUM_EXAMPLES,
    model_aggregator: AggregationFactory | None = None,
) -> LearningProcess:
    """FedYogi; the parameters are as in `build_fed_adagrad`."""
    server = _server({"learning_rate": learning_rate, "beta_1": beta_1, "beta_2": beta_2, "tau": tau}, _yogi)
    return build_weighted_fed_avg(
        model, client_optimizer_fn, server, client_weighting=client_weighting, model_aggregator=model_aggregator
    )


def _adagrad(v: Any, square: Any, beta_2: Any) -> Any:
    return v + square


def _adam(v: Any, square: Any, beta_2: Any) -> Any:
    return beta_2 * v + (1 - beta_2) * square


def _yogi(v: Any, square: Any, beta_2: Any) -> Any:
    from federated.backends.mathematics import sign

    return v - (1 - beta_2) * square * sign(v - square)


def _server(hparams: dict[str, float], second: Second) -> Optimizer:
    """The server's step; the gradient that it gets is −Δ_t."""

    def step(state: State, weights: Any, gradients: Any) -> tuple[State, Any]:
        from federated.backends.mathematics import sqrt

        eta, beta_1, beta_2, tau = (state[name] for name in ("learning_rate", "beta_1", "beta_2", "tau"))
        delta = [-g for g in gradients]
        m = [beta_1 * m + (1 - beta_1) * d for m, d in zip(state["m"], delta, strict=True)]
        v = [second(v, d * d, beta_2) for v, d in zip(state["v"], delta, strict=True)]
        x = [x + eta * m / (sqrt(v) + tau) for x, m, v in zip(weights, m, v, strict=True)]
        return OrderedDict(state, m=m, v=v), x

    return Optimizer(hparams, ("m", "v"), step, {"v": hparams["tau"] ** 2})
