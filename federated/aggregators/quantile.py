"""Estimates of a quantile of the clients' norms that follow it from round to round, from one bit of each client.

Andrew, Thakkar, McMahan and Ramaswamy, "Differentially Private Learning with Adaptive Clipping" (2021), section 2.1:
with b̄ the fraction of clients whose norm is at most C, and γ the quantile that C is to be,

    C ← C · exp(−η (b̄ − γ))

Without the noise: what is learned of a client here is one bit, exactly.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from federated.backends.tf_computation import tf_computation
from federated.language.computation import Computation, federated_computation
from federated.language.errors import MisuseError
from federated.language.operators import federated_broadcast, federated_eval, federated_map, federated_mean
from federated.language.placements import CLIENTS, SERVER
from federated.language.types import FederatedType


@dataclass(frozen=True)
class EstimationProcess:
    """Something that is estimated from a number of each client.

    Attributes:
        initialize: `( -> S@SERVER)`.
        next: `(<S@SERVER,{float32}@CLIENTS> -> S@SERVER)`.
        report: `(S@SERVER -> float32@SERVER)`, the estimate.
    """

    initialize: Computation
    next: Computation
    report: Computation


@final
class PrivateQuantileEstimationProcess:
    """The quantile of the module's description."""

    @staticmethod
    def no_noise(
        initial_estimate: float,
        target_quantile: float,
        learning_rate: float,
        multiplier: float = 1.0,
        increment: float = 0.0,
    ) -> EstimationProcess:
        """The estimate `multiplier · C + increment`, of an exact b̄.

        Args:
            initial_estimate: C at first, above 0.
            target_quantile: γ, within 0 and 1.
            learning_rate: η.
        """
        if initial_estimate <= 0 or not 0 <= target_quantile <= 1:
            raise MisuseError(
                f"an estimate above 0 of a quantile within 0 and 1 is expected, found {initial_estimate} of the "
                f"quantile {target_quantile}"
            )
        first = OrderedDict(
            estimate=np.float32(initial_estimate),
            target_quantile=np.float32(target_quantile),
            learning_rate=np.float32(learning_rate),
        )
        start = tf_computation(lambda: first)
        reported = tf_computation(lambda state: state["estimate"] * multiplier + increment, start.type_signature.result)
        return _process(start, reported, _is_at_most, _adapted)


def fixed_estimate(value: float) -> EstimationProcess:
    """A number that no client changes."""
    start = tf_computation(lambda: np.float32(value))
    state = FederatedType(np.float32, SERVER)
    return EstimationProcess(
        federated_computation(lambda: federated_eval(start, SERVER)),
        federated_computation(lambda state, value: state, state, FederatedType(np.float32, CLIENTS)),
        federated_computation(lambda state: state, state),
    )


def estimate_of(number: float | EstimationProcess) -> EstimationProcess:
    """An estimate as it is, a number as one that stays."""
    return number if isinstance(number, EstimationProcess) else fixed_estimate(number)


def _process(start: Computation, reported: Computation, is_at_most: Any, adapted: Any) -> EstimationProcess:
    state = FederatedType(start.type_signature.result, SERVER)

    def next_round(state: Any, value: Any) -> Any:
        bit = federated_map(is_at_most, (value, federated_broadcast(state.estimate)))
        return federated_map(adapted, (state, federated_mean(bit)))

    return EstimationProcess(
        federated_computation(lambda: federated_eval(start, SERVER)),
        federated_computation(next_round, state, FederatedType(np.float32, CLIENTS)),
        federated_computation(lambda state: federated_map(reported, state), state),
    )


@tf_computation
def _is_at_most(value: Any, estimate: Any) -> Any:
    from federated.backends.mathematics import cast

    return cast(value <= estimate, np.float32)


@tf_computation
def _adapted(state: Any, fraction: Any) -> Any:
    from federated.backends.mathematics import exp

    change = exp(-state["learning_rate"] * (fraction - state["target_quantile"]))
    return OrderedDict(state, estimate=state["estimate"] * change)
