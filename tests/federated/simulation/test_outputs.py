"""What becomes of a run's rounds: tables, scalars for TensorBoard and pictures, each read by what people read it by."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from federated.simulation import SimulationError, TrainingResult, outputs, plot_runs
from federated.simulation.results import ABANDONED, COMPLETED, RoundResult

ROUNDS = (
    RoundResult(1, COMPLETED, 10, dropped=1, metrics={"loss": 2.5}, evaluation={"accuracy": 0.25}),
    RoundResult(2, ABANDONED, 10, dropped=10, reason="every client dropped out"),
    RoundResult(3, COMPLETED, 10, refused=2, metrics={"loss": 1.5}, evaluation={"accuracy": 0.75}),
)
VALUES = [(number, name, value) for one in ROUNDS for number, _, name, value in one.rows()]

needs_pyarrow = pytest.mark.skipif(find_spec("pyarrow") is None, reason="Parquet files need pyarrow")
needs_matplotlib = pytest.mark.skipif(find_spec("matplotlib") is None, reason="plots need matplotlib")
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def written(output: outputs.Output) -> None:
    """As a run calls an output: after two rounds, and after three."""
    output(ROUNDS[:2])
    output(ROUNDS)


@needs_pyarrow
def test_a_parquet_table_is_the_csv_table(tmp_path: Path) -> None:
    import csv

    from pyarrow import parquet

    written(outputs.table(tmp_path / "new" / "rounds.parquet"))
    written(outputs.table(tmp_path / "rounds.csv"))
    found = parquet.read_table(tmp_path / "new" / "rounds.parquet").to_pylist()
    assert [(row["round_number"], row["metric"], row["value"]) for row in found] == VALUES
    with (tmp_path / "rounds.csv").open(newline="") as file:
        assert [{**row, "round_number": int(row["round_number"]), "value": float(row["value"])}
                for row in csv.DictReader(file)] == found  # fmt: skip


@needs_pyarrow
def test_a_parquet_table_of_no_rounds_has_its_columns(tmp_path: Path) -> None:
    from pyarrow import parquet

    TrainingResult(None, ()).save(tmp_path / "none.parquet")
    found = parquet.read_table(tmp_path / "none.parquet")
    assert (found.num_rows, found.column_names) == (0, ["round_number", "outcome", "metric", "value"])


@pytest.mark.skipif(find_spec("pyarrow") is not None, reason="pyarrow is installed")
def test_without_pyarrow_a_parquet_table_is_refused_before_the_first_round() -> None:
    with pytest.raises(SimulationError, match=r"(?s)pyarrow.*fedelta\[simulation\]"):
        outputs.table("rounds.parquet")


@pytest.mark.skipif(find_spec("matplotlib") is not None, reason="matplotlib is installed")
def test_without_matplotlib_a_plot_is_refused_before_the_first_round() -> None:
    with pytest.raises(SimulationError, match=r"(?s)matplotlib.*fedelta\[simulation\]"):
        outputs.plot("rounds.png", ["train/loss"])


@pytest.mark.tensorflow
def test_every_number_is_a_scalar_of_tensorboard(tmp_path: Path) -> None:
    written(outputs.tensorboard(tmp_path))
    assert scalars(tmp_path) == [(number, name, pytest.approx(value)) for number, name, value in VALUES]


@pytest.mark.tensorflow
def test_a_run_that_is_taken_up_again_leaves_its_scalars_once(tmp_path: Path) -> None:
    outputs.tensorboard(tmp_path)(ROUNDS[:2])
    (tmp_path / "events.out.tfevents.of.another.program").write_text("")
    outputs.tensorboard(tmp_path)(ROUNDS)
    assert len(scalars(tmp_path)) == len(VALUES)
    assert (tmp_path / "events.out.tfevents.of.another.program").exists()


@pytest.mark.tensorflow
@pytest.mark.skipif(find_spec("tensorboard") is None, reason="TensorBoard is not installed")
# TensorBoard imports what setuptools and protobuf have deprecated.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_tensorboard_itself_reads_the_scalars(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
    from tensorboard.util.tensor_util import make_ndarray

    written(outputs.tensorboard(tmp_path / "run"))
    read = EventMultiplexer().AddRunsFromDirectory(str(tmp_path)).Reload()
    found = [(event.step, float(make_ndarray(event.tensor_proto))) for event in read.Tensors("run", "train/loss")]
    assert found == [(1, 2.5), (3, 1.5)]
    plugin = read.SummaryMetadata("run", "train/loss").plugin_data.plugin_name
    assert plugin == "scalars"


@needs_matplotlib
def test_a_plot_shows_each_metric_as_it_is_named(tmp_path: Path) -> None:
    written(outputs.plot(tmp_path / "new" / "rounds.svg", ["train/loss", "evaluation/accuracy", "train/los"]))
    text = svg_text(tmp_path / "new" / "rounds.svg")
    assert {"loss", "accuracy", "round"} <= text
    assert "not measured in these rounds" in text  # the misspelt one
    written(outputs.plot(tmp_path / "rounds.png", ["train/loss"]))
    assert (tmp_path / "rounds.png").read_bytes().startswith(PNG_SIGNATURE)


@needs_matplotlib
def test_runs_are_told_apart_in_one_plot(tmp_path: Path) -> None:
    runs = {"federated": TrainingResult(None, ROUNDS), "in one place": TrainingResult(None, ROUNDS[:1])}
    plot_runs(tmp_path / "curve.svg", runs, "evaluation/accuracy")
    assert {"federated", "in one place"} <= svg_text(tmp_path / "curve.svg")


def scalars(folder: Path) -> list[tuple[int, str, Any]]:
    """Every scalar of the only event file that has any, in its order, by TensorFlow's reader of records."""
    import tensorflow as tf

    (path,) = folder.glob("*.fedelta")
    events = [tf.compat.v1.Event.FromString(record.numpy()) for record in tf.data.TFRecordDataset(str(path))]
    values = [(event.step, value) for event in events for value in event.summary.value]
    assert {value.metadata.plugin_data.plugin_name for _, value in values} == {"scalars"}
    return [(step, value.tag, float(tf.make_ndarray(value.tensor))) for step, value in values]


def svg_text(path: Path) -> set[str]:
    """The pieces of text in a picture; matplotlib keeps each as a comment beside its outlines."""
    import re

    return set(re.findall(r"<!-- (.*?) -->", path.read_text()))
