"""What every accumulator of one aggregation entry does."""

from collections.abc import Sequence
from typing import Protocol, Self, runtime_checkable

from wire.tensors import Array, Tensors


class Accumulator(Protocol):
    """The running aggregate of one entry. It trusts its caller to have checked every update."""

    def accumulate(self, update: Tensors) -> None:
        """Count one update's tensors, which stand beside those of other entries."""
        ...

    def merge(self, other: Self) -> None:
        """Add the aggregate of other updates of the same round."""
        ...

    def finalize(self) -> dict[str, Array]:
        """What was counted, as logical tensors by name.

        Raises:
            ContributionError: a total does not fit its dtype.
        """
        ...


@runtime_checkable
class StoredAccumulator(Accumulator, Protocol):
    """One that is much smaller than the updates it has counted, so that it can be put away and taken up again."""

    def held(self) -> list[Array]:
        """What it holds, as arrays whose number the plan alone decides."""
        ...

    def hold(self, arrays: Sequence[Array]) -> None:
        """Hold what another of the same entry held."""
        ...
