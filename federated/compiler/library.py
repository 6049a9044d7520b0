"""What the compiler needs of the library that computes on one machine; `federated.backends` has it for TensorFlow."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from federated.compiler.flat import Kernel
from federated.language.local_body import LocalBody
from federated.language.types import TensorType, Type


@dataclass(frozen=True)
class FoldStage:
    """One `reduce` of a local computation over the sequence at `sequence`, of those it was given.

    Attributes:
        zero: takes the tensors and the totals of earlier stages; gives what it starts from.
        step: takes the tensors, the totals of earlier stages, its own totals and an element; gives its new totals.
    """

    sequence: int
    zero: Kernel
    step: Kernel


@dataclass(frozen=True)
class MappedSequence:
    """A sequence that a local computation gives: that at `sequence`, each element put through `element`.

    Attributes:
        element: takes the tensors, the totals of all stages and an element; gives the new element.
        type: the type of the new element.
    """

    sequence: int
    element: Kernel
    type: Type


@dataclass(frozen=True)
class Stages:
    """A local computation over sequences, taken apart.

    Attributes:
        folds: in their order.
        finish: takes the tensors and the totals of all stages; gives the results that are tensors.
        sequences: the results that are sequences; None stands where the next tensor of `finish` goes.
    """

    folds: tuple[FoldStage, ...]
    finish: Kernel
    results: tuple[MappedSequence | None, ...]


class Library(Protocol):
    """Local computations as kernels."""

    def kernel(self, body: LocalBody) -> Kernel:
        """A body that takes and gives tensors alone."""
        ...

    def stages(self, body: LocalBody, arguments: Sequence[TensorType | Sequence[TensorType]]) -> Stages:
        """A body that takes or gives sequences, for these leaves of its parameter.

        Args:
            arguments: a tensor's type, or the types of a sequence's element, leaf by leaf.

        Raises:
            CompilationError: it does with a sequence what a device cannot, such as shuffling it.
        """
        ...

    def arithmetic(self, name: str) -> Kernel:
        """One of the few functions that operators need, by name.

        add_float(s, e, x): s and e, where s + e is the sum with x, and e what s was rounded by.
        add_integer(t, x): t + x in int64.
        settle_<dtype>(…): what such a total comes to; one that does not fit the dtype fails.
        divide(w, a…): a / w in a's dtype.
        weigh(w, a…): w × a in a's dtype, zero where w is zero.
        mask(w, a…): a, zero where w is zero.
        choose(w, a…, b…): a where w is above zero, b where it is not.
        items(a): the elements of a vector.
        widen(a): an integer as int64.
        """
        ...
