"""Tables for a terminal."""

from collections.abc import Sequence
from datetime import UTC, datetime

from wire.operator_messages import RoundView


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows under a header, each column as wide as its widest cell."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [header, *rows]]
    lines.insert(1, "  ".join("─" * width for width in widths))
    return "\n".join(line.rstrip() for line in lines)


def moment(seconds: float) -> str:
    """UTC seconds since 1970 as people write them."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def of_rounds(rounds: Sequence[RoundView]) -> str:
    """A task's rounds with every metric that one of them has."""
    metrics = sorted({name for round_ in rounds for name in round_.metrics})
    rows = [
        [
            str(round_.round_number),
            round_.state,
            f"{round_.reported}/{round_.assigned}",
            *(f"{round_.metrics[name]:.4f}" if name in round_.metrics else "–" for name in metrics),
            round_.reason,
        ]
        for round_ in rounds
    ]
    return aligned(["round", "state", "reports", *metrics, "why"], rows)
