"""Means that do not tell whether a client took part: clipped values, a sum with noise, a fixed denominator.

McMahan, Ramage, Talwar and Zhang, "Learning Differentially Private Recurrent Language Models" (2018), Algorithm 1 with
the fixed-denominator estimator f̃_f and flat clipping:

    v̄ = (Σ_k v_k min(1, C / ‖v_k‖) + N(0, (z C)² I)) / m

One client more or less changes the sum by at most C, however many there are, and m is not the number that took part but
one that is fixed beforehand. Adaptive clipping lets C follow a quantile of the norms (Andrew, Thakkar, McMahan and
Ramaswamy, "Differentially Private Learning with Adaptive Clipping", 2021, Algorithm 1), learned from bits that are
noised, too; for both together to be as private as noise z alone, its theorem 1 has the values' noise a little larger:

    z_Δ = (z⁻² − (2 σ_b)⁻²)^(−1/2)

No ε is computed here: it depends on how clients are chosen, and how often. `mechanism` has what it is computed from.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from federated.aggregators.clipping import clip
from federated.aggregators.process import (
    AggregationProcess,
    MeasuredProcessOutput,
    aggregation_process,
    check_floats,
    check_weight,
)
from federated.aggregators.quantile import (
    EstimationProcess,
    PrivateQuantileEstimationProcess,
    fixed_estimate,
)
from federated.backends.tf_computation import tf_computation
from federated.language.containers import leaves, pack
from federated.language.errors import MisuseError
from federated.language.operators import federated_broadcast, federated_map, federated_noised_sum, federated_zip
from federated.language.types import Type


@dataclass(frozen=True)
class Mechanism:
    """What one round of an aggregator releases, for whoever computes a guarantee.

    Two cohorts are neighbours where one has one client more. How a cohort is chosen, out of how many and how often, is
    not the aggregator's to know.

    Attributes:
        noise_multiplier: the standard deviation of Gaussian noise over the sensitivity, of all that is released in a
            round together; 0 is no privacy.
        sensitivity: C, by how much one client changes the sum of values; None where it changes from round to round.
        clients_per_round: m, what the sum is divided by.
    """

    noise_multiplier: float
    sensitivity: float | None
    clients_per_round: float


@final
@dataclass(frozen=True)
class DifferentiallyPrivateFactory:
    """The mean of the module's description; unweighted, as a weight would be a client's own say.

    The measurements are the `clip` C and the `stddev` of the noise in the sum of values. Nothing else of a round leaves
    this aggregator, and nothing without noise.

    Attributes:
        noise_multiplier: z, of all that a round releases.
        value_noise_multiplier: of the noise in the sum of values: z, or z_Δ.
        clients_per_round: m.
        norm: estimates C.
        sensitivity: C where it is fixed.
    """

    noise_multiplier: float
    value_noise_multiplier: float
    clients_per_round: float
    norm: EstimationProcess
    sensitivity: float | None = None
    is_weighted = False

    @classmethod
    def gaussian_fixed(
        cls, noise_multiplier: float, clients_per_round: float, clip: float
    ) -> "DifferentiallyPrivateFactory":
        """With one C for all rounds.

        Args:
            noise_multiplier: z; 0 for no noise, and no privacy.
            clients_per_round: m.
            clip: C, the norm of all tensors of a value together.
        """
        _check(noise_multiplier, clients_per_round, clip=clip)
        return cls(noise_multiplier, noise_multiplier, clients_per_round, fixed_estimate(clip), clip)

    @classmethod
    def gaussian_adaptive(
        cls,
        noise_multiplier: float,
        clients_per_round: float,
        initial_l2_norm_clip: float = 0.1,
        target_unclipped_quantile: float = 0.5,
        learning_rate: float = 0.2,
        clipped_count_stddev: float | None = None,
    ) -> "DifferentiallyPrivateFactory":
        """With a C that follows a quantile of the clients' norms.

        Args:
            noise_multiplier: z, of the noised values and the noised count together.
            clients_per_round: m.
            initial_l2_norm_clip: C in the first round.
            target_unclipped_quantile: which share of the clients C is to leave as they are.
            learning_rate: how fast C follows.
            clipped_count_stddev: σ_b; None for m / 20.

        Raises:
            MisuseError: the count would need all the noise: σ_b is at most z / 2.
        """
        _check(noise_multiplier, clients_per_round, initial_l2_norm_clip=initial_l2_norm_clip)
        stddev = clipped_count_stddev
        if stddev is None:
            stddev = 0.05 * clients_per_round if noise_multiplier else 0.0
        norm = PrivateQuantileEstimationProcess.noised(
            initial_l2_norm_clip,
            target_unclipped_quantile,
            learning_rate,
            clients_per_round=clients_per_round,
            count_stddev=stddev,
        )
        return cls(noise_multiplier, value_noise_multiplier(noise_multiplier, stddev), clients_per_round, norm)

    def mechanism(self) -> Mechanism:
        """What a round releases."""
        return Mechanism(self.noise_multiplier, self.sensitivity, self.clients_per_round)

    def create(self, value_type: Type, weight_type: Type | None = None) -> AggregationProcess:
        """See `AggregationFactory`."""
        check_weight(self, weight_type)
        check_floats("DifferentiallyPrivateFactory", value_type)
        norm, clipped = self.norm, _clipped(value_type)
        mean = _mean(value_type, self.clients_per_round)
        noise_multiplier = self.value_noise_multiplier
        scaled = tf_computation(lambda limit: limit * noise_multiplier, np.float32)

        def next_round(state: Any, value: Any) -> Any:
            limit = norm.report(state)
            kept, norms = federated_map(clipped, (value, federated_broadcast(limit)))
            stddev = federated_map(scaled, limit)
            total = federated_noised_sum(kept, stddev)
            return MeasuredProcessOutput(
                norm.next(state, norms),
                federated_map(mean, total),
                federated_zip(OrderedDict(clip=limit, stddev=stddev)),
            )

        return aggregation_process(norm.initialize, next_round, value_type, None)


def value_noise_multiplier(noise_multiplier: float, count_stddev: float) -> float:
    """z_Δ of the module's description.

    Raises:
        MisuseError: there is none.
    """
    if noise_multiplier == 0:
        return 0.0
    if noise_multiplier >= 2 * count_stddev:
        raise MisuseError(
            f"a count with noise of {count_stddev:g} gives away more than a noise_multiplier of {noise_multiplier:g} "
            "allows for everything",
            fix="a clipped_count_stddev of more than half of the noise_multiplier, or more clients_per_round, of which "
            "it is a twentieth",
        )
    return float((noise_multiplier**-2 - (2 * count_stddev) ** -2) ** -0.5)


def _check(noise_multiplier: float, clients_per_round: float, **clip: float) -> None:
    ((name, number),) = clip.items()
    if not 0 <= noise_multiplier < math.inf:
        raise MisuseError(f"a noise_multiplier is 0 or more, found {noise_multiplier}")
    if not 0 < clients_per_round < math.inf:
        raise MisuseError(f"clients_per_round is more than 0, found {clients_per_round}")
    if not 0 < number < math.inf:
        raise MisuseError(f"{name} is a norm above 0, found {number}")


def _clipped(value_type: Type) -> Any:
    @tf_computation(value_type, np.float32)
    def clipped(value: Any, limit: Any) -> Any:
        tensors, norm, _ = clip(leaves(value_type, value), limit)
        return pack(value_type, tensors), norm

    return clipped


def _mean(value_type: Type, clients: float) -> Any:
    @tf_computation(value_type)
    def mean(total: Any) -> Any:
        return pack(value_type, [v / clients for v in leaves(value_type, total)])

    return mean
