"""What a call of a computation means right here: where it runs, or which program it becomes a part of.

Three kinds of frames lie on the stack. A *context* runs computations. A *scope* is a federated computation that is
being traced: a call becomes a node of it. A *local trace* is TensorFlow code that is being traced: a call of another
local computation becomes a part of it. Every thread has its own stack; below it lies the default context.
"""

import importlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

from federated.language.errors import ExecutionError

if TYPE_CHECKING:
    from federated.language.computation import Computation


class Context(Protocol):
    """Something that runs computations."""

    def invoke(self, computation: "Computation", args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """The result of a call with these Python values, as Python values."""
        ...


class LocalTrace:
    """The frame of a local computation that is being traced."""


_stack: ContextVar[tuple[Any, ...]] = ContextVar("federated computation contexts", default=())
_default: list[Context] = []


def current() -> Any:
    """The innermost frame: a context, a scope or a local trace."""
    frames = _stack.get()
    if frames:
        return frames[-1]
    if not _default:
        # It sets one. It stands above this room, and whoever imports another room alone has not loaded it.
        importlib.import_module("federated.contexts.entering")
    if not _default:
        raise ExecutionError("there is no context to run computations in", fix="import federated, which sets one")
    return _default[-1]


def frames() -> tuple[Any, ...]:
    """Every frame of this thread, the outermost first, without the default context."""
    return _stack.get()


@contextmanager
def pushed(frame: Any) -> Iterator[Any]:
    """Put a frame on the stack while the block runs."""
    token = _stack.set((*_stack.get(), frame))
    try:
        yield frame
    finally:
        _stack.reset(token)


def set_default_context(context: Context) -> None:
    """Run computations in this context wherever no other one is entered."""
    _default[:] = [context]
