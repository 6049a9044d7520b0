"""What rounds came to, as records and as a tidy table: a row for each round and metric.

    round_number, outcome, metric, value

Counts (`clients`, `dropped`, `empty`, `refused`) and `seconds` are metrics as well, so that every number is in one
column and a table of several runs is their concatenation.
"""

import csv
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
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
        return column(self.rounds, metric)

    def save(self, path: str | Path) -> None:
        """Write the table as `.csv`, or as `.parquet`, which needs pyarrow.

        Raises:
            SimulationError: pyarrow is not installed.
        """
        save(Path(path), self.rounds)


def column(rounds: Iterable[RoundResult], metric: str) -> dict[int, float]:
    """See `TrainingResult.column`."""
    return {number: value for one in rounds for number, _, name, value in one.rows() if name == metric}


def save(path: Path, rounds: Iterable[RoundResult]) -> None:
    """Write the table in the place of what was there, at once; see `TrainingResult.save`."""
    rows = [row for one in rounds for row in one.rows()]
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = path.with_name(path.name + ".part")
    (_write_parquet if is_parquet(path) else _write_csv)(whole, rows)
    os.replace(whole, path)


def is_parquet(path: Path) -> bool:
    """Whether the table goes into a Parquet file, by its name.

    Raises:
        SimulationError: it would, and pyarrow is not installed.
    """
    if path.suffix == ".parquet" and find_spec("pyarrow") is None:
        raise SimulationError("Parquet files need pyarrow", fix="pip install 'fedelta[simulation]', or write a .csv")
    return path.suffix == ".parquet"


def _write_csv(path: Path, rows: list[tuple[int, str, str, float]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows((number, outcome, name, repr(value)) for number, outcome, name, value in rows)


def _write_parquet(path: Path, rows: list[tuple[int, str, str, float]]) -> None:
    import pyarrow
    from pyarrow import parquet

    types = zip(COLUMNS, (pyarrow.int64(), pyarrow.string(), pyarrow.string(), pyarrow.float64()), strict=True)
    records = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    parquet.write_table(pyarrow.Table.from_pylist(records, schema=pyarrow.schema(types)), path)
