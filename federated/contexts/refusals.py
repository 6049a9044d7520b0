"""Whether a client whose update cannot be summed ends a computation, or is left out and counted.

A device's report that holds NaN is refused by the orchestrator, and the round goes on without it. Outside `counted`
such an update is an error here, since nobody would see that it is missing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from plans.errors import PlanError


@dataclass(frozen=True)
class Refusal:
    """An update that was left out.

    Attributes:
        client: the client's place in the cohort.
    """

    client: int
    reason: str


_counted: ContextVar[list[Refusal] | None] = ContextVar("counted", default=None)


@contextmanager
def counted() -> Iterator[list[Refusal]]:
    """Leave updates out that cannot be summed; the list says which."""
    found: list[Refusal] = []
    token = _counted.set(found)
    try:
        yield found
    finally:
        _counted.reset(token)


def is_counted(client: int, error: PlanError) -> bool:
    """Note a refused update, if that is wanted here."""
    found = _counted.get()
    if found is None:
        return False
    if client not in {refusal.client for refusal in found}:  # a plan of several phases refuses it in each
        found.append(Refusal(client, str(error)))
    return True
