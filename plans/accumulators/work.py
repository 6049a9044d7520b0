"""The aggregate of a whole work: an accumulator for every entry, and the count of its updates."""

import os
from collections.abc import Callable, Mapping
from typing import Self

import numpy as np

from plans.accumulators.contributions import check_contribution
from plans.accumulators.custom import CustomAccumulator
from plans.accumulators.extremes import Extremes
from plans.accumulators.fixed_point import FixedPointSum
from plans.accumulators.modular import ModularSum
from plans.accumulators.noised import NoisedSum
from plans.accumulators.protocol import Accumulator, StoredAccumulator
from plans.accumulators.robust import RobustMean
from plans.accumulators.wide import WideSum
from plans.discrete_gaussian import Entropy
from plans.errors import ProgramError, UnsupportedPlanError, ZeroWeightError
from plans.manifest import Aggregation, Kind, Port, Work
from plans.program import Program
from wire import tensors
from wire.tensors import Array, Tensors

WideSums = Callable[[Mapping[str, Port]], Accumulator]
_NOTHING: Tensors = {}


class WorkAccumulator:
    """The running aggregate of a work's updates.

    Args:
        cohort: how many updates there may be; sums of 64 bits have room for so many.
        server: the plan's `server.tflite`, which custom aggregations need.
        wide: what sums the entries without bounds; a simulation has a faster one.
        known: the server's tensors of this round, the state and what `prepare` gave: the noise may go by one.
        entropy: where noise comes from.

    Raises:
        ProgramError: a custom aggregation has no program.
        NoiseError: the standard deviation of a noise is none.
        UnsupportedPlanError: an aggregation that this version does not do.
    """

    def __init__(
        self,
        work: Work,
        cohort: int,
        server: Program | None = None,
        wide: WideSums = WideSum,
        *,
        known: Tensors = _NOTHING,
        entropy: Entropy = os.urandom,
    ) -> None:
        self._work = work
        self._cohort = cohort
        self._server = server
        self._wide = wide
        self._known = known
        self._entropy = entropy
        self._entries = [self._accumulator(entry) for entry in work.aggregation]
        self.count = 0

    def accumulate(self, update: Tensors) -> None:
        """Count one update, checked again so that a damaged file cannot enter a sum.

        Raises:
            ContributionError: see `plans.accumulators.contributions`.
            OverflowError: more updates than the cohort that the bounds were worked out for.
        """
        check_contribution(self._work, update, self._cohort)
        self._count(1)
        for entry in self._entries:
            entry.accumulate(update)

    def merge(self, other: Self) -> None:
        """Add a partial aggregate of other updates of the same round."""
        self._count(other.count)
        for entry, others in zip(self._entries, other._entries, strict=True):
            entry.merge(others)

    def encode(self) -> bytes:
        """The partial aggregate, to put away.

        Raises:
            UnsupportedPlanError: an entry keeps every update, see `is_summed_in_parts`.
        """
        held = {"count": np.array(self.count, np.int64)}
        for number, entry in enumerate(self._entries):
            held |= {f"entry_{number}_{place}": values for place, values in enumerate(_stored(entry).held())}
        return tensors.encode(held)

    def merge_encoded(self, data: bytes) -> None:
        """Add a partial aggregate that was put away, of other updates of the same round."""
        held = tensors.decode(data)
        self._count(int(held["count"]))
        for number, entry in enumerate(self._entries):
            other = _stored(self._accumulator(self._work.aggregation[number]))
            prefix = f"entry_{number}_"
            other.hold([held[f"{prefix}{place}"] for place in range(sum(name.startswith(prefix) for name in held))])
            entry.merge(other)

    def finalize(self) -> dict[str, Array]:
        """The logical tensors of `work.aggregate`.

        Raises:
            ContributionError: a sum does not fit its dtype.
            TooFewUpdatesError: see `plans.accumulators.robust`.
            ZeroWeightError: a mean over a total weight of zero, where the plan calls that an error.
        """
        totals: dict[str, Array] = {}
        for entry in self._entries:
            totals |= entry.finalize()
        for one in self._work.aggregation:
            if one.weight is not None and one.on_zero_weight == "error" and totals[one.weight] == 0:
                raise ZeroWeightError(
                    f"the mean {one.name!r} is over {self.count} updates whose weights ({one.weight}) add up to zero"
                )
        return totals

    def _accumulator(self, entry: Aggregation) -> Accumulator:
        if entry.noise is None:
            return _accumulator(entry, self._work, self._server, self._wide)
        ports = {name: self._work.update[name] for name in entry.tensors}
        return NoisedSum(ports, entry.fraction_bits, entry.noise, self._known, self._entropy)

    def _count(self, more: int) -> None:
        if self.count + more > self._cohort:
            raise OverflowError(f"{self.count + more} updates in a sum that was made for {self._cohort}")
        self.count += more


def is_summed_in_parts(work: Work) -> bool:
    """Whether a partial aggregate of a work's updates is smaller than they are: robust kinds keep them all."""
    return not any(entry.kind.is_robust for entry in work.aggregation)


def _stored(entry: Accumulator) -> StoredAccumulator:
    if not isinstance(entry, StoredAccumulator):
        raise UnsupportedPlanError(f"{type(entry).__name__} keeps every update; it has no partial sums to put away")
    return entry


def _accumulator(entry: Aggregation, work: Work, server: Program | None, wide: WideSums) -> Accumulator:
    ports = {name: work.update[name] for name in entry.tensors}
    match entry.kind:
        case Kind.SUM | Kind.MEAN:
            return wide(ports) if entry.is_wide else FixedPointSum(ports, entry.fraction_bits)
        case Kind.SECURE_SUM:
            return FixedPointSum(ports, 0)
        case Kind.MODULAR_SUM if entry.modulus is not None:
            return ModularSum(ports, entry.modulus)
        case Kind.MIN | Kind.MAX:
            return Extremes(ports, entry.kind)
        case Kind.MEDIAN | Kind.TRIMMED_MEAN | Kind.KRUM | Kind.GEOMETRIC_MEDIAN:
            return RobustMean(entry, ports)
        case Kind.CUSTOM:
            if server is None:
                raise ProgramError(f"the custom aggregation {entry.name!r} needs the plan's server program")
            return CustomAccumulator(entry, work, server)
    raise UnsupportedPlanError(
        f"the aggregation {entry.name!r} is a {entry.kind.value}, which this version does not do"
    )
