"""Where the rounds of a run are written while it goes on, beside the table that every run with a directory has.

An output is called with all rounds so far whenever a checkpoint is due. What it leaves depends on those rounds alone,
so a run that is taken up again has the outputs of one that was never interrupted.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from federated.simulation import pictures, results
from federated.simulation.results import RoundResult, TrainingResult

Output = Callable[[Sequence[RoundResult]], None]
"""Takes every round of the run so far."""


def table(path: str | Path) -> Output:
    """The tidy table, as `.csv`, or as `.parquet`, which needs pyarrow.

    Raises:
        SimulationError: pyarrow is not installed.
    """
    results.is_parquet(Path(path))
    return lambda rounds: results.save(Path(path), rounds)


def plot(path: str | Path, metrics: Sequence[str]) -> Output:
    """A picture with a panel for each metric, by round, such as `evaluation/accuracy`; needs matplotlib.

    Args:
        path: `.png`, `.svg`, `.pdf`, or whatever else matplotlib writes.

    Raises:
        SimulationError: matplotlib is not installed.
    """
    pictures.check_installed()

    def output(rounds: Sequence[RoundResult]) -> None:
        panels: Mapping[str, pictures.Curves] = {name: {"": results.column(rounds, name)} for name in metrics}
        pictures.draw(Path(path), panels)

    return output


def tensorboard(directory: str | Path) -> Output:
    """Every number of the table as a scalar that TensorBoard shows, with the round as its step.

    Args:
        directory: holds the scalars of one run; those of an earlier one are deleted.
    """
    return _Events(Path(directory))


def plot_runs(path: str | Path, runs: Mapping[str, TrainingResult], metric: str) -> None:
    """A picture of one metric, by round, with a curve for each of several runs; needs matplotlib.

    Args:
        runs: what each curve is called, and the run.
    """
    pictures.draw(Path(path), {metric: {name: run.column(metric) for name, run in runs.items()}})


class _Events:
    """Writes each round once; the first call begins anew."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._written = 0

    def __call__(self, rounds: Sequence[RoundResult]) -> None:
        from federated.backends.event_files import ScalarFile

        if not self._written:
            self._file = ScalarFile(self._directory)
        self._file.add(
            (number, name, value) for one in rounds[self._written :] for number, _, name, value in one.rows()
        )
        self._written = len(rounds)
