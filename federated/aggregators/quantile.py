"""Estimates of a quantile of the clients' norms that follow it from round to round, from one bit of each client.

Andrew, Thakkar, McMahan and Ramaswamy, "Differentially Private Learning with Adaptive Clipping" (2021), section 2.1:
with b̄ the fraction of clients whose norm is at most C, and γ the quantile that C is to be,

    C ← C · exp(−η (b̄ − γ))

`no_noise` learns one bit of each client, exactly. `noised` sums ±1/2, of which a client changes the sum by 1/2, with
noise of the paper's σ_b, and divides by a number of clients that is fixed beforehand: b̄ = Σ̃ / m + 1/2.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from federated.backends.tf_computation import tf_computation
from federated.language.computation import Computation, federated_computation
from federated.language.errors import MisuseError
from federated.language.operators import (
    federated_broadcast,
    federated_eval,
    federated_map,
    federated_mean,
    federated_noised_sum,
    federated_secure_sum_bitwidth,
    federated_value,
    federated_zip,
)
from federated.language.placements import CLIENTS, SERVER
from federated.language.types import FederatedType, TensorType


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
        *,
        secure_estimation: bool = False,
    ) -> EstimationProcess:
        """The estimate `multiplier · C + increment`, of an exact b̄.

        Args:
            initial_estimate: C at first, above 0.
            target_quantile: γ, within 0 and 1.
            learning_rate: η.
            secure_estimation: whether b̄ is made of secure sums, so that no one sees a single client's bit.
        """
        start = _start(initial_estimate, target_quantile, learning_rate)
        reported = tf_computation(lambda state: state["estimate"] * multiplier + increment, start.type_signature.result)
        return _process(start, reported, _secure_mean if secure_estimation else federated_mean)

    @staticmethod
    def noised(
        initial_estimate: float,
        target_quantile: float,
        learning_rate: float,
        *,
        clients_per_round: float,
        count_stddev: float,
    ) -> EstimationProcess:
        """The estimate C, of a b̄ with noise.

        Args:
            initial_estimate, target_quantile, learning_rate: as those of `no_noise`.
            clients_per_round: m.
            count_stddev: σ_b, the standard deviation of the count's noise.
        """
        start = _start(initial_estimate, target_quantile, learning_rate)
        reported = tf_computation(lambda state: state["estimate"], start.type_signature.result)
        centred = tf_computation(lambda bit: bit - 0.5, np.float32)
        share = tf_computation(lambda total: total / clients_per_round + 0.5, np.float32)

        def fraction(bit: Any) -> Any:
            return federated_map(share, federated_noised_sum(federated_map(centred, bit), count_stddev))

        return _process(start, reported, fraction)


def fixed_estimate(value: float) -> EstimationProcess:
    """A number that no client changes."""
    start = tf_computation(lambda: np.float32(value))
    state = FederatedType(np.float32, SERVER)
    return EstimationProcess(
        federated_computation(lambda: federated_eval(start, SERVER)),
        federated_computation(lambda state, value: state, state, FederatedType(np.float32, CLIENTS)),
        federated_computation(lambda state: state, state),
    )


def held_estimate(estimate: EstimationProcess, rounds: int) -> EstimationProcess:
    """An estimate that is followed all the time, and reported anew after every so many rounds."""
    first = tf_computation(lambda: np.int32(0))
    number = TensorType(np.float32)

    @federated_computation
    def initialize() -> Any:
        start = estimate.initialize()
        parts = OrderedDict(estimate=start, held=estimate.report(start), rounds=federated_eval(first, SERVER))
        return federated_zip(parts)

    @tf_computation(number, number, np.int32)
    def chosen(held: Any, new: Any, last: Any) -> Any:
        from federated.backends.mathematics import where

        return OrderedDict(held=where(last % np.int32(rounds) >= rounds - 1, new, held), rounds=last + np.int32(1))

    state = FederatedType(initialize.type_signature.result.member, SERVER)  # type: ignore[attr-defined]

    def next_round(state: Any, value: Any) -> Any:
        after = estimate.next(state.estimate, value)
        kept = federated_map(chosen, (state.held, estimate.report(after), state.rounds))
        return federated_zip(OrderedDict(estimate=after, held=kept.held, rounds=kept.rounds))

    return EstimationProcess(
        initialize,
        federated_computation(next_round, state, FederatedType(np.float32, CLIENTS)),
        federated_computation(lambda state: state.held, state),
    )


def estimate_of(number: float | EstimationProcess) -> EstimationProcess:
    """An estimate as it is, a number as one that stays."""
    return number if isinstance(number, EstimationProcess) else fixed_estimate(number)


def _start(estimate: float, quantile: float, learning_rate: float) -> Computation:
    """The first state.

    Raises:
        MisuseError: it is no estimate of a quantile.
    """
    if estimate <= 0 or not 0 <= quantile <= 1:
        raise MisuseError(
            f"an estimate above 0 of a quantile within 0 and 1 is expected, found {estimate} of the quantile {quantile}"
        )
    first = OrderedDict(
        estimate=np.float32(estimate), target_quantile=np.float32(quantile), learning_rate=np.float32(learning_rate)
    )
    return tf_computation(lambda: first)


def _process(start: Computation, reported: Computation, fraction: Callable[[Any], Any]) -> EstimationProcess:
    """The process that goes by the fraction, at the server, of bits at the clients."""
    state = FederatedType(start.type_signature.result, SERVER)

    def next_round(state: Any, value: Any) -> Any:
        bit = federated_map(_is_at_most, (value, federated_broadcast(state.estimate)))
        return federated_map(_adapted, (state, fraction(bit)))

    return EstimationProcess(
        federated_computation(lambda: federated_eval(start, SERVER)),
        federated_computation(next_round, state, FederatedType(np.float32, CLIENTS)),
        federated_computation(lambda state: federated_map(reported, state), state),
    )


def _secure_mean(bit: Any) -> Any:
    total = federated_secure_sum_bitwidth(federated_map(_as_integer, bit), 1)
    return federated_map(_share, (total, federated_secure_sum_bitwidth(federated_value(np.int32(1), CLIENTS), 1)))


@tf_computation
def _as_integer(bit: Any) -> Any:
    from federated.backends.mathematics import cast

    return cast(bit, np.int32)


@tf_computation
def _share(total: Any, count: Any) -> Any:
    from federated.backends.mathematics import cast

    return cast(total, np.float32) / cast(count, np.float32)


@tf_computation
def _is_at_most(value: Any, estimate: Any) -> Any:
    from federated.backends.mathematics import cast

    return cast(value <= estimate, np.float32)


@tf_computation
def _adapted(state: Any, fraction: Any) -> Any:
    from federated.backends.mathematics import exp

    change = exp(-state["learning_rate"] * (fraction - state["target_quantile"]))
    return OrderedDict(state, estimate=state["estimate"] * change)
