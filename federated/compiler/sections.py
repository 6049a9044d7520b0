"""Which operation is computed in which signature, and what crosses from one to the next.

Signatures run one after the other. Each is given some tensors and must have some others at its end; an operation is
computed in the first that needs it, once, and what a later one needs of it is kept for that.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from federated.compiler.flat import Aggregate, Broadcast, Operation, Tensor, is_constant, sources


@dataclass(frozen=True)
class Section:
    """A signature to be.

    Attributes:
        given: tensors that it has from outside.
        roots: tensors that it needs.
    """

    given: tuple[Tensor, ...] = ()
    roots: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class Schedule:
    """For each section the tensors of earlier ones that it needs, and which section a tensor is first in."""

    needs: tuple[tuple[Tensor, ...], ...]
    homes: dict[Tensor, int]

    def crossing(self, boundary: int) -> tuple[Tensor, ...]:
        """What is there before the section `boundary` and is needed in it, or in a later one."""
        wanted = (tensor for needs in self.needs[boundary:] for tensor in needs)
        return tuple(dict.fromkeys(tensor for tensor in wanted if self.homes[tensor] < boundary))


def schedule(sections: Sequence[Section]) -> Schedule:
    """Place every operation that the sections' roots need."""
    homes: dict[Tensor, int] = {}
    computed: dict[Operation, int] = {}
    needs: list[tuple[Tensor, ...]] = []
    for index, section in enumerate(sections):
        for tensor in section.given:
            homes.setdefault(tensor, index)
        needs.append(tuple(dict.fromkeys(_needed(section, index, homes, computed))))
    return Schedule(tuple(needs), homes)


def _needed(section: Section, index: int, homes: dict[Tensor, int], computed: dict[Operation, int]) -> Iterator[Tensor]:
    """Place what the section computes, and give what it needs of earlier ones."""
    waiting = list(reversed(section.roots))
    while waiting:
        tensor = waiting.pop()
        if is_constant(tensor):
            continue
        home = homes.get(tensor, computed.get(tensor.operation))
        if home is None:
            computed[tensor.operation] = index
            waiting.extend(reversed(sources(tensor.operation)))
            home = index
        homes.setdefault(tensor, home)
        if home < index:
            yield tensor


def reachable(roots: Sequence[Tensor], *, through: bool = False) -> tuple[Tensor, ...]:
    """Every tensor that some tensors are computed from, themselves too, the deepest last.

    Args:
        through: also what lies behind a broadcast or an aggregate, on the other side.
    """
    found: dict[Tensor, None] = {}
    waiting = list(reversed(roots))
    while waiting:
        tensor = waiting.pop()
        if tensor in found:
            continue
        found[tensor] = None
        if through or not isinstance(tensor.operation, (Aggregate, Broadcast)):
            waiting.extend(reversed(sources(tensor.operation)))
    return tuple(found)
