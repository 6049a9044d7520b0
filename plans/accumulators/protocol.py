"""What every accumulator of one aggregation entry does."""

from typing import Protocol, Self

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
