"""What clients keep from one run of a computation to the next, and who "the same client" is.

A client is the same where its id is. Ids come with `known_clients`, in the order of the clients' values; in a fleet
a device is itself. Positions in a list are no ids, so that a computation that keeps state is refused where none are
known. What is kept belongs to the computation of that name, tensor by tensor: `kept__0_0`, `kept__0_1`, … is the state
of the first operator that keeps something, `kept__1_0` that of the second, in the order in which a run comes to them.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from federated.language.errors import ExecutionError
from wire.tensors import Array

State = Mapping[str, Array]


class StateStore(Protocol):
    """Where clients' states are between runs."""

    def read(self, computation: str, client_id: str) -> State | None:
        """What a client keeps of a computation; None for nothing yet. Any thread may ask."""
        ...

    def write(self, computation: str, client_id: str, state: State) -> None:
        """Let a client keep this from now on."""
        ...


_known: ContextVar[tuple[StateStore, tuple[str, ...]] | None] = ContextVar("known clients", default=None)


@contextmanager
def known_clients(store: StateStore, client_ids: Sequence[str]) -> Iterator[None]:
    """Say who the clients of the next runs are, in the order of their values, and where their states are."""
    if len(set(client_ids)) < len(client_ids):
        raise ExecutionError(
            f"a client is there twice: {', '.join(client_ids)}", fix="give every client an id of its own"
        )
    token = _known.set((store, tuple(client_ids)))
    try:
        yield
    finally:
        _known.reset(token)


def kept_name(operator: int, leaf: int) -> str:
    """The name of a tensor that the operator of that number keeps."""
    return f"kept__{operator}_{leaf}"


class KeptStates:
    """What the clients of one run keep.

    Args:
        computation: its name.
        cohort: how many clients take part.
    """

    def __init__(self, computation: str, cohort: int) -> None:
        self._computation = computation
        self._cohort = cohort
        self._known = _known.get()

    def before(self, client: int) -> State | None:
        """What the client at a place of the cohort kept the last time.

        Raises:
            ExecutionError: nobody says who it is.
        """
        store, client_ids = self._clients()
        return store.read(self._computation, client_ids[client])

    def keep(self, client: int, state: State) -> None:
        """Let that client keep this."""
        store, client_ids = self._clients()
        store.write(self._computation, client_ids[client], state)

    def _clients(self) -> tuple[StateStore, tuple[str, ...]]:
        if self._known is None:
            raise ExecutionError(
                f"the clients of {self._computation!r} keep state from run to run, but nothing says who they are: "
                "places in a list are no ids",
                fix="states = fed.simulation.DeviceStates(), and with states.of([…ids…]): around the call",
            )
        if len(self._known[1]) != self._cohort:
            raise ExecutionError(
                f"there are ids of {len(self._known[1])} clients, but {self._cohort} take part",
                fix="give states.of an id for each client, in the order of their values",
            )
        return self._known


class LocalStates:
    """What the operators of one run read and leave; nothing is kept before the run has come to its end."""

    def __init__(self, kept: KeptStates) -> None:
        self._kept = kept
        self._operators = 0
        self._before: dict[int, State | None] = {}
        self._after: dict[int, dict[str, Array]] = {}

    def next_operator(self) -> int:
        """The number of the operator that keeps something, counted in the order of the run."""
        self._operators += 1
        return self._operators - 1

    def before(self, client: int) -> State:
        """What a client kept the last time; nothing where it keeps nothing yet."""
        if client not in self._before:
            self._before[client] = self._kept.before(client)
        return self._before[client] or {}

    def leave(self, client: int, state: State) -> None:
        """What an operator leaves at a client."""
        self._after.setdefault(client, {}).update(state)

    def commit(self) -> None:
        """Let every client keep what it was left."""
        for client, state in self._after.items():
            self._kept.keep(client, state)
