"""The round trips of a program: in each, the server broadcasts, clients compute, and aggregates come back.

An aggregate belongs to the first phase in which everything it needs is there: one later than any aggregate that it is
computed from. Most programs have one phase.
"""

from dataclasses import dataclass

from federated.compiler.flat import Aggregate, Broadcast, FlatProgram, Operation, Tensor, in_order, sources
from federated.compiler.sections import reachable


@dataclass(frozen=True)
class PhaseOfProgram:
    """The aggregates of one round trip, in the program's order."""

    aggregates: tuple[Aggregate, ...]


def phases_of(program: FlatProgram) -> tuple[PhaseOfProgram, ...]:
    """The program's phases; none where no client does anything."""
    levels = _levels(program)
    everything = reachable(program.roots, through=True)
    aggregates = list(dict.fromkeys(t.operation for t in everything if isinstance(t.operation, Aggregate)))
    count = max((levels[aggregate] for aggregate in aggregates), default=0)
    return tuple(
        PhaseOfProgram(tuple(a for a in aggregates if isinstance(a, Aggregate) and levels[a] == number))
        for number in range(1, count + 1)
    )


def second_trip(program: FlatProgram) -> Tensor | None:
    """A tensor that is broadcast although it comes from an aggregate, where there is one."""
    levels = _levels(program)
    for tensor in reachable(program.roots, through=True):
        if isinstance(tensor.operation, Broadcast) and levels[tensor.operation] > 0:
            return tensor
    return None


def _levels(program: FlatProgram) -> dict[Operation, int]:
    """How many round trips there are up to each operation's outputs."""
    levels: dict[Operation, int] = {}
    for tensor in in_order(program.roots):
        operation = tensor.operation
        below = max((levels[inner.operation] for inner in sources(operation)), default=0)
        levels[operation] = below + isinstance(operation, Aggregate)
    return levels
