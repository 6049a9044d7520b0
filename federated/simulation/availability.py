"""Which clients can take part when."""

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from federated.simulation.errors import DataError

Availability = Callable[[int, Sequence[str]], list[str]]
"""`(round_number, clients) ->` those of them that are there in this round."""


def always(round_number: int, clients: Sequence[str]) -> list[str]:
    """Every client, in every round."""
    return list(clients)


class Trace:
    """Clients that are there in some rounds, as a record says.

    Args:
        present: for each client the spans of rounds, first and last, both included. A client that is not here is
            never there.
    """

    def __init__(self, present: Mapping[str, Iterable[tuple[int, int]]]) -> None:
        self._present = {name: tuple(spans) for name, spans in present.items()}

    def __call__(self, round_number: int, clients: Sequence[str]) -> list[str]:
        """See `Availability`."""
        return [
            name
            for name in clients
            if any(first <= round_number <= last for first, last in self._present.get(name, ()))
        ]

    @classmethod
    def read(cls, path: str | Path) -> "Trace":
        """A CSV file with the columns `client`, `first_round` and `last_round`, a row a span.

        Raises:
            DataError: a column is missing, or a round is no number.
        """
        present: dict[str, list[tuple[int, int]]] = {}
        try:
            with Path(path).open(newline="") as file:
                for row in csv.DictReader(file):
                    span = int(row["first_round"]), int(row["last_round"])
                    present.setdefault(row["client"], []).append(span)
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise DataError(f"{path} is no trace with client, first_round and last_round: {error!r}") from error
        return cls(present)
