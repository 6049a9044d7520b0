"""A federated computation that is being traced: every call in it is bound to a name, in the order it was made.

So a value that is used twice is computed once, and the graph is as long as the program.
"""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

from federated.language import context_stack
from federated.language.errors import OutsideComputationError
from federated.language.nodes import Block, Node, Reference
from federated.language.origin import here


class Scope:
    """The frame of one lambda that is being traced. Names are new in the whole trace it belongs to."""

    def __init__(self, parent: "Scope | None") -> None:
        self._numbers: Iterator[int] = itertools.count(1) if parent is None else parent._numbers
        self._taken: set[str] = set() if parent is None else parent._taken
        self._bindings: list[tuple[str, Node]] = []

    def new_name(self, stem: str) -> str:
        """A name that nothing else in this trace has: `stem` with a number."""
        name = f"{stem}_{next(self._numbers)}"
        return self.new_name(stem) if name in self._taken else name

    def name_of_parameter(self, name: str) -> str:
        """What a parameter is called here: what its author calls it, where nothing else in this trace is called so."""
        unique = name if name not in self._taken else self.new_name(name)
        self._taken.add(unique)
        return unique

    def bind(self, node: Node) -> Reference:
        """Give a node a name here, and return the reference to it."""
        name = self.new_name("v")
        self._bindings.append((name, node))
        return Reference(name, node.type, origin=node.origin)

    def close(self, result: Node) -> Node:
        """The result, inside everything that was bound."""
        if not self._bindings:
            return result
        return Block(tuple(self._bindings), result, result.type, origin=result.origin)


@contextmanager
def opened() -> Iterator[Scope]:
    """A scope for a lambda, inside the one that is being traced, if one is."""
    parent = context_stack.frames()[-1:] or (None,)
    with context_stack.pushed(Scope(parent[0] if isinstance(parent[0], Scope) else None)) as scope:
        yield scope


def require(what: str) -> Scope:
    """The scope that is being traced.

    Raises:
        OutsideComputationError: none is; `what` says what was tried.
    """
    frame = context_stack.frames()[-1:]
    if frame and isinstance(frame[0], Scope):
        return frame[0]
    inside = "a local computation" if frame and isinstance(frame[0], context_stack.LocalTrace) else "plain Python"
    raise OutsideComputationError(
        f"{what} is a part of a federated computation, but was called in {inside}",
        where=here(),
        fix="call it inside a function decorated with @fed.federated_computation",
    )


def is_open(scope: Scope) -> bool:
    """Whether a scope is still being traced."""
    return any(frame is scope for frame in context_stack.frames())
