"""Means that a few lying clients do not move far: median, trimmed mean, Krum, geometric median.

`federated.language.robust_means` has the papers and the formulas; here they are worked out over all updates of a round,
some coordinates at a time. What needs distances takes them from one matrix of inner products, so that updates are read
twice, however often the algorithm goes round:

    G_ij = ⟨x_i, x_j⟩, x_i = v_i − the median of every coordinate        ‖v_i − v_j‖² = G_ii + G_jj − 2 G_ij
    ‖Σ c_j v_j − v_k‖² = cᵀ G c − 2 (G c)_k + G_kk, where Σ c_j = 1

The centre is the median because an update of any size cannot move that, and so cannot take the others' digits away.
Updates are gone through in the order of their digests, so that the order in which they came changes no bit.
"""

import hashlib
import math
from collections.abc import Mapping
from typing import Self

import numpy as np

from plans.accumulators.rows import Rows
from plans.errors import TooFewUpdatesError
from plans.manifest import Aggregation, Kind, Port
from wire.tensors import Array, Tensors

_ROUNDING = 1e-9  # so that ⌊0.29 · 100⌋ is 29


class RobustMean:
    """The updates of one entry, and what they come to; see the module's description."""

    def __init__(self, entry: Aggregation, ports: Mapping[str, Port]) -> None:
        self._entry = entry
        self._ports = ports
        dtype = np.result_type(*(ports[name].spec.dtype for name in entry.values))
        self._rows = Rows(sum(math.prod(ports[name].spec.shape) for name in entry.values), dtype.name)
        self._weights: list[float] = []
        self._digests: list[bytes] = []

    def accumulate(self, update: Tensors) -> None:
        """Keep an update, unless its weight is zero."""
        weight = float(update[self._weight])
        if weight > 0:
            row = np.concatenate([np.ravel(update[name]) for name in self._entry.values])
            self._weights.append(weight)
            self._digests.append(hashlib.sha256(row.tobytes()).digest())
            self._rows.append(row)

    def merge(self, other: Self) -> None:
        """Keep the updates of another, too."""
        self._weights += other._weights
        self._digests += other._digests
        self._rows.extend(other._rows)

    def finalize(self) -> dict[str, Array]:
        """The mean's tensors, and the sum of the weights; zeros where there is no update.

        Raises:
            TooFewUpdatesError: Krum of no more than 2f + 2.
        """
        mean = self._mean() if self._weights else np.zeros(self._width)
        given: dict[str, Array] = {}
        start = 0
        for name in self._entry.values:
            spec = self._ports[name].spec
            size = math.prod(spec.shape)
            given[name] = mean[start : start + size].reshape(spec.shape).astype(spec.dtype)
            start += size
        total = math.fsum(self._weights)
        return given | {self._weight: np.asarray(total, self._ports[self._weight].spec.dtype)}

    @property
    def _weight(self) -> str:
        assert self._entry.weight is not None  # noqa: S101 - `plans.consistency` has looked
        return self._entry.weight

    @property
    def _width(self) -> int:
        return sum(math.prod(self._ports[name].spec.shape) for name in self._entry.values)

    @property
    def _order(self) -> list[int]:
        return sorted(range(len(self._rows)), key=lambda index: (self._digests[index], self._weights[index]))

    def _mean(self) -> Array:
        match self._entry.kind:
            case Kind.KRUM:
                return self._combined(self._krum())
            case Kind.GEOMETRIC_MEDIAN:
                return self._combined(self._geometric_median())
        mean = np.zeros(self._width)
        for block, rows in self._rows.blocks(self._order):
            mean[block] = self._of_coordinates(rows)
        return mean

    def _of_coordinates(self, rows: Array) -> Array:
        if self._entry.kind is Kind.MEDIAN:
            return np.asarray(np.median(rows, axis=0))
        trimmed = int(self._entry.parameters["fraction"] * len(rows) + _ROUNDING)
        return np.asarray(np.sort(rows, axis=0)[trimmed : len(rows) - trimmed].mean(0))

    def _krum(self) -> Array:
        """The share of every update: 1 / m of the m with the smallest scores."""
        n, f = len(self._rows), int(self._entry.parameters["byzantine"])
        if n <= 2 * f + 2:
            raise TooFewUpdatesError(
                f"{self._entry.name!r} is Krum that withstands {f} lying clients, so it takes more than {2 * f + 2} "
                f"updates; there are {n}"
            )
        products = self._products()
        squares = products.diagonal()
        distances = np.maximum(squares[:, None] + squares - 2 * products, 0)
        np.fill_diagonal(distances, -1)  # comes first, and is left out
        scores = np.sort(distances, axis=1)[:, 1 : n - f - 1].sum(1)
        chosen = np.argsort(scores, kind="stable")[: min(int(self._entry.parameters["selected"]), n - f)]
        shares = np.zeros(n)
        shares[chosen] = 1 / len(chosen)
        return shares

    def _geometric_median(self) -> Array:
        """The share of every update after so many steps of the smoothed Weiszfeld algorithm."""
        products = self._products()
        alpha = np.asarray(self._weights)[self._order] / math.fsum(self._weights)
        shares, squared = alpha, products.diagonal()  # from the median, where all x are measured from
        for _ in range(int(self._entry.parameters["iterations"])):
            beta = alpha / np.maximum(self._entry.parameters["smoothing"], np.sqrt(squared))
            shares = beta / beta.sum()
            along = products @ shares
            squared = np.maximum(shares @ along - 2 * along + products.diagonal(), 0)
        return shares

    def _products(self) -> Array:
        """G of the module's description."""
        products = np.zeros((len(self._rows), len(self._rows)))
        for _, rows in self._rows.blocks(self._order):
            centred = rows - np.median(rows, axis=0)
            products += centred @ centred.T
        return products

    def _combined(self, shares: Array) -> Array:
        mean = np.zeros(self._width)
        taken = np.flatnonzero(shares)
        for block, rows in self._rows.blocks(self._order):
            mean[block] = shares[taken] @ rows[taken]
        return mean
