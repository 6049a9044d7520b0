"""What rounds came to, as records and as a tidy table: a row for each round and metric.

    round_number, outcome, metric, value

Counts (`clients`, `dropped`, `empty`, `refused`) and `seconds` are metrics as well, so that every number is in one
column and a table of several runs is their concatenation.
"""

import csv
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from federated.simulation.errors import SimulationError

COMPLETED, ABANDONED = "completed", "abandoned"
COLUMNS = ("round_number", "outcome", "metric", "value")


@dataclass(frozen=True)
class RoundResult:
    """What a round came to.

    Attributes:
        outcome: `completed`, or `abandoned`: then the state is the one before.
        clients: how many were chosen; `dropped` of them were lost before they reported, `empty` had no examples,
            `refused` sent an update that is not finite.
        seconds: how long it took, evaluation included.
        metrics: what the clients measured while training, such as `loss`.
        evaluation: what `evaluate` gave, in rounds in which it was asked.
        reason: why it was abandoned, or why updates were refused.
    """

    round_number: int
    outcome: str
    clients: int
    dropped: int = 0
    empty: int = 0
    refused: int = 0
    seconds: float = 0.0
    metrics: Mapping[str, float] = field(default_factory=dict)
    evaluation: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""

    def rows(self) -> Iterator[tuple[int, str, str, float]]:
        """Its rows of the table."""
        counts = {name: float(getattr(self, name)) for name in _COUNTS}
        named = [("", counts), ("train/", self.metrics), ("evaluation/", self.evaluation)]
        for prefix, values in named:
            for name, value in values.items():
                yield self.round_number, self.outcome, prefix + name, float(value)


_COUNTS = ("clients", "dropped", "empty", "refused", "seconds")


@dataclass(frozen=True)
class TrainingResult:
    """What a run came to.

    Attributes:
        state: the last state of the process.
        rounds: every round of this run, those before it was taken up again as well.
    """

    state: Any
    rounds: tuple[RoundResult, ...]

    def column(self, metric: str) -> dict[int, float]:
        """A metric by round, `train/loss` or `evaluation/accuracy`; rounds without it are left out."""
        return {number: value for one in self.rounds for number, _, name, value in one.rows() if name == metric}

    def save(self, path: str | Path) -> None:
        """Write the table as `.csv`, or as `.parquet`, which needs pyarrow."""
        rows = [row for one in self.rounds for row in one.rows()]
        if Path(path).suffix == ".parquet":
            _write_parquet(Path(path), rows)
        else:
            write_table(Path(path), rows)


def write_table(path: Path, rows: Iterable[tuple[Any, ...]]) -> None:
    """Write the table in the place of what was there, at once."""
    whole = path.with_name(path.name + ".part")
    with whole.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows((number, outcome, name, repr(value)) for number, outcome, name, value in rows)
    os.replace(whole, path)


def _write_parquet(path: Path, rows: list[tuple[Any, ...]]) -> None:
    try:
        import pyarrow  # type: ignore[import-not-found, import-untyped, unused-ignore]
        from pyarrow import parquet  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError as error:
        raise SimulationError("Parquet files need pyarrow", fix="pip install pyarrow, or write a .csv") from error
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(COLUMNS)
    parquet.write_table(
        pyarrow.table({name: list(column) for name, column in zip(COLUMNS, columns, strict=True)}), path
    )
