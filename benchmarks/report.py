"""The figures of a run as a table in Markdown, and as a picture."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.models import BATCH_SIZE

_MEBIBYTE = 1 << 20
REFERENCE = "TensorFlow tf.function"
_COLUMNS = (
    "runtime",
    "CPU ms a step (min … max)",
    "examples a CPU second",
    "speed, TensorFlow = 1",
    "launch to first step, s (CPU s)",
    "peak memory training / after restore, MiB",
)


def markdown(document: Mapping[str, Any]) -> str:
    """Every model's table."""
    return "\n".join(line for model in document["models"] for line in _model_lines(model))


def speed(records: Sequence[Mapping[str, Any]], record: Mapping[str, Any]) -> float | None:
    """How many times faster than TensorFlow's `tf.function` in the same run; None where either did not run."""
    reference = next((one for one in records if one["title"] == REFERENCE), {})
    if "cpu_seconds_per_step_median" not in reference or "cpu_seconds_per_step_median" not in record:
        return None
    return float(reference["cpu_seconds_per_step_median"] / record["cpu_seconds_per_step_median"])


def _model_lines(model: Mapping[str, Any]) -> Iterator[str]:
    yield f"### {model['model']}\n"
    yield (
        f"{model['parameters']:,} parameters, {model['parameter_bytes']:,} bytes; the exported file has "
        f"{model['file_bytes']:,} bytes, {model['file_bytes'] / model['parameter_bytes']:.3f} times as many. "
        f"Batches of {BATCH_SIZE}, one thread.\n"
    )
    yield "| contestant | " + " | ".join(_COLUMNS) + " |"
    yield "| --- |" + " --- |" * len(_COLUMNS)
    for record in model["contestants"]:
        yield f"| {record['title']} | " + " | ".join(_cells(model["contestants"], record)) + " |"
    yield ""


def _cells(records: Sequence[Mapping[str, Any]], record: Mapping[str, Any]) -> Iterator[str]:
    if "unavailable" in record:
        yield f"not run: {record['unavailable']}"
        yield from [""] * (len(_COLUMNS) - 1)
        return
    median, low, high = (record[f"cpu_seconds_per_step_{name}"] * 1e3 for name in ("median", "min", "max"))
    relative = speed(records, record)
    peaks = [record[f"peak_resident_bytes_{when}"] / _MEBIBYTE for when in ("training", "after_restore")]
    yield str(record["runtime"])
    yield f"{median:.3g} ({low:.3g} … {high:.3g})"
    yield f"{BATCH_SIZE * 1e3 / median:,.0f}"
    yield "" if relative is None else f"{relative:.2f}"
    yield f"{record['launch_to_first_step_seconds']:.2f} ({record['launch_cpu_seconds']:.2f})"
    yield f"{peaks[0]:.0f} / {peaks[1]:.0f}"


def plot(document: Mapping[str, Any], path: Path) -> None:
    """Bars of CPU time a step, one panel a model. Needs matplotlib."""
    from matplotlib.figure import Figure

    models = document["models"]
    figure = Figure(figsize=(5 * len(models), 3.5), layout="constrained")
    for index, model in enumerate(models):
        records = [one for one in model["contestants"] if "cpu_seconds_per_step_median" in one]
        axes = figure.add_subplot(1, len(models), index + 1)
        axes.barh([one["title"] for one in records], [one["cpu_seconds_per_step_median"] * 1e3 for one in records])
        axes.invert_yaxis()
        axes.set(title=model["model"], xlabel="CPU ms a step of 20 (less is better)")
    figure.savefig(path, dpi=150)
