"""Means that a few clients, whatever they send, do not move far: the papers' formulas, slow and obvious.

A row is a client's value, float64[d], all its tensors one after the other; n is how many there are.

    median              the middle of every coordinate; of an even number, half of the sum of the two in the middle
    trimmed_mean        the mean of every coordinate without its ⌊β n⌋ smallest and its ⌊β n⌋ largest values
    krum                the row, or the mean of the m rows, with the smallest scores Σ ‖v_i − v_j‖², each summed over
                        the n − f − 2 rows j nearest to i; f is how many clients may lie, and 2f + 2 < n
    geometric_median    what minimises Σ α_k ‖v − v_k‖, α_k being a client's share of the weight

Yin, Chen, Ramchandran and Bartlett, "Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates" (2018),
Definitions 1 and 2; Blanchard, El Mhamdi, Guerraoui and Stainer, "Machine Learning with Adversaries: Byzantine Tolerant
Gradient Descent" (2017), section 4; Pillutla, Kakade and Harchaoui, "Robust Aggregation for Federated Learning" (2019),
Algorithm 2, the smoothed Weiszfeld algorithm:

    v ← median        R times: β_k = α_k / max(ν, ‖v − v_k‖),  v ← Σ β_k v_k / Σ β_k

It starts from the median of every coordinate, not from the mean, whence the way back from a lie of 10³⁸ is long. For
the other kinds clients count as one each: a weight is what a client says of itself.
"""

from collections.abc import Callable, Mapping

import numpy as np

from federated.language.errors import ExecutionError
from wire.tensors import Array

Parameters = Mapping[str, float]


def median(rows: Array, weights: Array, parameters: Parameters) -> Array:
    """The median of every coordinate."""
    return np.asarray(np.median(rows, axis=0))


def trimmed_mean(rows: Array, weights: Array, parameters: Parameters) -> Array:
    """The mean of every coordinate without its extremes."""
    trimmed = count_of(parameters["fraction"], len(rows))
    return np.asarray(np.sort(rows, axis=0)[trimmed : len(rows) - trimmed].mean(0))


def krum(rows: Array, weights: Array, parameters: Parameters) -> Array:
    """Krum for m = 1, otherwise multi-Krum.

    Raises:
        ExecutionError: too few clients for f of them to lie.
    """
    n, f, m = len(rows), int(parameters["byzantine"]), int(parameters["selected"])
    if n <= 2 * f + 2:
        raise ExecutionError(
            f"Krum that withstands {f} lying clients takes more than {2 * f + 2}, found {n}",
            fix="more clients a round, or a smaller byzantine=",
        )
    scores = [sum(sorted(float(((row - other) ** 2).sum()) for other in rows)[1 : n - f - 1]) for row in rows]
    chosen = np.argsort(scores, kind="stable")[: min(m, n - f)]
    return np.asarray(rows[chosen].mean(0))


def geometric_median(rows: Array, weights: Array, parameters: Parameters) -> Array:
    """The geometric median, by the smoothed Weiszfeld algorithm."""
    alpha = weights / weights.sum()
    v = np.median(rows, axis=0)
    for _ in range(int(parameters["iterations"])):
        beta = alpha / np.maximum(parameters["smoothing"], np.sqrt(((rows - v) ** 2).sum(1)))
        v = beta @ rows / beta.sum()
    return np.asarray(v)


def count_of(fraction: float, n: int) -> int:
    """⌊fraction · n⌋, of the fraction that was written: 0.29 of 100 is 29, though 0.29 · 100 is a little less."""
    return int(fraction * n + _ROUNDING)


_ROUNDING = 1e-9

FORMULAS: Mapping[str, Callable[[Array, Array, Parameters], Array]] = {
    "geometric_median": geometric_median,
    "krum": krum,
    "median": median,
    "trimmed_mean": trimmed_mean,
}
PARAMETERS: Mapping[str, Mapping[str, float | None]] = {
    "geometric_median": {"iterations": 32, "smoothing": 1e-6},
    "krum": {"byzantine": None, "selected": 1},
    "median": {},
    "trimmed_mean": {"fraction": None},
}
"""What each kind is told, with what is meant where nothing is said; None where something must be."""

RANGES: Mapping[str, tuple[float, float]] = {
    "byzantine": (0, 1_000_000),
    "fraction": (0, 0.499),
    "iterations": (1, 10_000),
    "selected": (1, 1_000_000),
    "smoothing": (1e-30, 1.0),
}
"""Which values each may have."""
