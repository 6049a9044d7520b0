"""Clients whose batches are read when their turn comes, so that a cohort need not fit into memory.

A value for `{<…>*}@CLIENTS` may be a `StreamedClients` instead of a list: it says how many clients there are and how
large their batches, and gives the clients one after the other, anew each time it is gone through.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

from federated.language.types import Type
from wire.tensors import Array


@dataclass(frozen=True)
class StackedBatches(Sequence[Any]):
    """One client's sequence of batches, as a sequence of runtime values.

    Attributes:
        leaves: for each tensor of an element all its batches one after the other, [batches · batch_size, …].
    """

    leaves: tuple[Array, ...]
    batch_size: int

    def __len__(self) -> int:
        return len(self.leaves[0]) // self.batch_size

    @overload
    def __getitem__(self, index: int) -> tuple[Array, ...]: ...

    @overload
    def __getitem__(self, index: slice) -> list[tuple[Array, ...]]: ...

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[place] for place in range(len(self))[index]]
        start = range(len(self))[index] * self.batch_size
        return tuple(leaf[start : start + self.batch_size] for leaf in self.leaves)


class StreamedClients(ABC):
    """The clients of a cohort, one after the other; see the module's description."""

    @abstractmethod
    def typed(self, member: Type) -> "StreamedClients":
        """The same clients as values of a sequence type; called before anything else.

        Raises:
            ValueMismatchError: now or when a client is read: it does not fit the type.
        """

    @property
    @abstractmethod
    def batch_shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of a batch of each tensor of an element: `((20, 784), (20,), (20,))`."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __iter__(self) -> Iterator[StackedBatches]: ...
