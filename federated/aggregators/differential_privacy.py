"""Means that do not tell whether a client took part: clipped values, a sum with noise, a fixed denominator.

McMahan, Ramage, Talwar and Zhang, "Learning Differentially Private Recurrent Language Models" (2018), Algorithm 1 with
the fixed-denominator estimator f̃_f and flat clipping:

    v̄ = (Σ_k v_k min(1, C / ‖v_k‖) + N(0, (z C)² I)) / m

One client more or less changes the sum by at most C, however many there are, and m is not the number that took part but
one that is fixed beforehand. Adaptive clipping lets C follow a quantile of the norms (Andrew, Thakkar, McMahan and
Ramaswamy, "Differentially Private Learning with Adaptive Clipping", 2021, Algorithm 1), learned from bits that are
noised, too; for both together to be as private as noise z alone, its theorem 1 has the values' noise a little larger:

    z_Δ = (z⁻² − (2 σ_b)⁻²)^(−1/2)

With the noise of a tree (`federated.aggregators.tree_noise`) all rounds together have little more noise than one, for
algorithms whose server adds the means up, and without counting on how cohorts are drawn.

No ε is computed here: it depends on how clients are chosen, and how often. `mechanism` has what it is computed from.
"""

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from federated.aggregators import tree_noise
from federated.aggregators.clipping import clip
from federated.aggregators.process import (
    AggregationProcess,
    MeasuredProcessOutput,
    aggregation_process,
    check_floats,
    check_weight,
    nothing,
)
from federated.aggregators.quantile import (
    EstimationProcess,
    PrivateQuantileEstimationProcess,
    fixed_estimate,
    held_estimate,
)
from federated.backends.tf_computation import tf_computation
from federated.language.computation import Computation, federated_computation
from federated.language.containers import leaves, pack
from federated.language.errors import MisuseError
from federated.language.operators import (
    federated_broadcast,
    federated_correlated_noised_sum,
    federated_eval,
    federated_map,
    federated_noised_sum,
    federated_zip,
)
from federated.language.placements import SERVER
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
        tree_rounds: None where the noise of every round is its own; otherwise the noise is that of a tree's node, and a
            tree is of so many rounds: what a client gives in one is in up to as many nodes as this has binary digits.
    """

    noise_multiplier: float
    sensitivity: float | None
    clients_per_round: float
    tree_rounds: int | None = None


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
        tree_rounds: how many rounds a tree of noise is of; None for noise of each round's own.
    """

    noise_multiplier: float
    value_noise_multiplier: float
    clients_per_round: float
    norm: EstimationProcess
    sensitivity: float | None = None
    tree_rounds: int | None = None
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

    @classmethod
    def tree_aggregation(
        cls, noise_multiplier: float, clients_per_round: float, l2_norm_clip: float, rounds: int = 1023
    ) -> "DifferentiallyPrivateFactory":
        """With one C, and the noise of a tree: DP-FTRL, if the server's optimizer is SGD.

        The state has an int64 for each of the tree's levels and each element; a fleet refuses it, see
        `docs/decisions/0028-a-tree-remembers-its-noise.md`.

        Args:
            noise_multiplier: z of one node's noise.
            clients_per_round: m.
            l2_norm_clip: C.
            rounds: after how many a new tree begins; one below a power of two uses all of its levels.
        """
        _check(noise_multiplier, clients_per_round, l2_norm_clip=l2_norm_clip)
        _check_rounds(rounds)
        norm = fixed_estimate(l2_norm_clip)
        return cls(noise_multiplier, noise_multiplier, clients_per_round, norm, l2_norm_clip, rounds)

    @classmethod
    def tree_adaptive(
        cls,
        noise_multiplier: float,
        clients_per_round: float,
        initial_l2_norm_clip: float = 0.1,
        restart_frequency: int = 1023,
        target_unclipped_quantile: float = 0.5,
        clip_learning_rate: float = 0.2,
        clipped_count_stddev: float | None = None,
    ) -> "DifferentiallyPrivateFactory":
        """With the noise of a tree, and a C that follows a quantile from one tree to the next.

        A tree's nodes have one size of noise, so C is held while it grows; the estimate is followed all the time, from
        counts with noise of each round's own. The arguments are those of `tree_aggregation` and `gaussian_adaptive`.

        Args:
            restart_frequency: after how many rounds a new tree begins, with a new C.
        """
        adaptive = cls.gaussian_adaptive(
            noise_multiplier,
            clients_per_round,
            initial_l2_norm_clip,
            target_unclipped_quantile,
            clip_learning_rate,
            clipped_count_stddev,
        )
        _check_rounds(restart_frequency)
        return replace(adaptive, norm=held_estimate(adaptive.norm, restart_frequency), tree_rounds=restart_frequency)

    def mechanism(self) -> Mechanism:
        """What a round releases."""
        return Mechanism(self.noise_multiplier, self.sensitivity, self.clients_per_round, self.tree_rounds)

    def create(self, value_type: Type, weight_type: Type | None = None) -> AggregationProcess:
        """See `AggregationFactory`."""
        check_weight(self, weight_type)
        check_floats("DifferentiallyPrivateFactory", value_type)
        norm, clipped = self.norm, _clipped(value_type)
        mean = _mean(value_type, self.clients_per_round)
        noise_multiplier = self.value_noise_multiplier
        scaled = tf_computation(lambda limit: limit * noise_multiplier, np.float32)
        noise = _tree(value_type, self.tree_rounds) if self.tree_rounds else _FRESH

        @federated_computation
        def initialize() -> Any:
            return federated_zip(OrderedDict(clip=norm.initialize(), noise=noise.initialize()))

        def next_round(state: Any, value: Any) -> Any:
            limit = norm.report(state.clip)
            kept, norms = federated_map(clipped, (value, federated_broadcast(limit)))
            stddev = federated_map(scaled, limit)
            remembered, total = noise.added(state.noise, kept, stddev)
            return MeasuredProcessOutput(
                federated_zip(OrderedDict(clip=norm.next(state.clip, norms), noise=remembered)),
                federated_map(mean, total),
                federated_zip(OrderedDict(clip=limit, stddev=stddev)),
            )

        return aggregation_process(initialize, next_round, value_type, None)


@dataclass(frozen=True)
class _Noise:
    """How noise comes into a sum.

    Attributes:
        initialize: what is remembered of it at first.
        added: from what is remembered, the clients' values and the standard deviation to what is to be remembered, and
            the sum.
    """

    initialize: Computation
    added: Callable[[Any, Any, Any], tuple[Any, Any]]


def _fresh(remembered: Any, value: Any, stddev: Any) -> tuple[Any, Any]:
    return remembered, federated_noised_sum(value, stddev)


_FRESH = _Noise(nothing, _fresh)


def _tree(value_type: Type, rounds: int) -> _Noise:
    first = tree_noise.first_nodes(value_type, rounds)
    tree_type = first.type_signature.result
    ended = tree_noise.ended(tree_type, value_type, rounds)
    grown = tree_noise.grown(tree_type, value_type, rounds)

    def added(tree: Any, value: Any, stddev: Any) -> tuple[Any, Any]:
        done = federated_correlated_noised_sum(value, stddev, federated_map(ended, tree))
        return federated_map(grown, (tree, done.noise)), done.sum

    return _Noise(federated_computation(lambda: federated_eval(first, SERVER)), added)


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


_MOST_ROUNDS = 1 << 20


def _check(noise_multiplier: float, clients_per_round: float, **clip: float) -> None:
    ((name, number),) = clip.items()
    if not 0 <= noise_multiplier < math.inf:
        raise MisuseError(f"a noise_multiplier is 0 or more, found {noise_multiplier}")
    if not 0 < clients_per_round < math.inf:
        raise MisuseError(f"clients_per_round is more than 0, found {clients_per_round}")
    if not 0 < number < math.inf:
        raise MisuseError(f"{name} is a norm above 0, found {number}")


def _check_rounds(rounds: int) -> None:
    if not 1 <= rounds < _MOST_ROUNDS:
        raise MisuseError(f"a tree is of 1 to {_MOST_ROUNDS - 1:,} rounds, found {rounds}")


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
