"""Curves by round as a picture. Needs matplotlib."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from federated.simulation.errors import SimulationError

Curves = Mapping[str, Mapping[int, float]]
"""For each curve what it is called, and its value by round."""

_PANEL_INCHES = 4.5, 3.2


def draw(path: Path, panels: Mapping[str, Curves]) -> None:
    """Write the picture, panel by panel, each under the name of what it shows.

    Raises:
        SimulationError: matplotlib is not installed.
    """
    check_installed()
    from matplotlib.figure import Figure

    width, height = _PANEL_INCHES
    figure = Figure(figsize=(width * max(len(panels), 1), height), layout="constrained")
    for place, (name, curves) in enumerate(panels.items(), 1):
        axes = figure.add_subplot(1, len(panels), place)
        axes.set(xlabel="round", ylabel=name.rpartition("/")[2], title=name.rpartition("/")[0])
        axes.grid(alpha=0.3)
        for label, values in curves.items():
            axes.plot(list(values), list(values.values()), label=label)
        if any(curves):
            axes.legend()
        if not any(curves.values()):
            axes.text(0.5, 0.5, "not measured in these rounds", ha="center", va="center", transform=axes.transAxes)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def check_installed() -> None:
    """Say so before the first round where no picture can be drawn.

    Raises:
        SimulationError: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise SimulationError("plots need matplotlib", fix="pip install 'fedelta[simulation]'")
