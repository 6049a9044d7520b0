"""Where the values of a federated program live: at each of the clients, or at the one server."""

from dataclasses import dataclass, field
from typing import final


@final
@dataclass(frozen=True, repr=False)
class Placement:
    """A collective of places, known by its `uri`; there are exactly two, `CLIENTS` and `SERVER`."""

    uri: str
    name: str = field(compare=False)
    default_all_equal: bool = field(compare=False)
    """Whether a value placed here is the same everywhere unless its type says otherwise."""

    def is_clients(self) -> bool:
        """Whether this is `CLIENTS`."""
        return self == CLIENTS

    def is_server(self) -> bool:
        """Whether this is `SERVER`."""
        return self == SERVER

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"PlacementLiteral('{self.uri}')"  # as TensorFlow Federated prints it


CLIENTS = Placement("clients", "CLIENTS", default_all_equal=False)
SERVER = Placement("server", "SERVER", default_all_equal=True)
PLACEMENTS = (CLIENTS, SERVER)
