"""The seam between the language and the library that computes on one machine.

The language knows that a local computation has a type and can be run; only `federated.backends` knows TensorFlow.

A runtime value follows its type: a tensor is an array, a structure a tuple, a sequence a list of its elements' values.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from federated.language.cohort import Clients
from federated.language.types import FunctionType


class LocalBody(Protocol):
    """What a local computation computes."""

    @property
    def name(self) -> str:
        """What its author called it."""
        ...

    @property
    def type(self) -> FunctionType:
        """`(P -> R)`, without anything federated in it."""
        ...

    def run(self, argument: Any) -> Any:
        """The result's runtime value, from the argument's; `argument` is None where it takes nothing."""
        ...

    def run_each(self, clients: Clients) -> Clients | None:
        """What `run` gives for each client, from the column of arguments; None where it has to be one by one."""
        ...

    def inlined(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """What a call inside another local computation gives, while that is traced."""
        ...

    def serialized(self) -> bytes:
        """The body in a form that `federated.backends.local_bodies.load` reads."""
        ...
