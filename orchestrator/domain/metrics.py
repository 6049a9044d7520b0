"""A round's metrics from those of its devices.

Works give sums and counts (`loss_sum`, `loss_count`), because those of two devices add up. The sums here are exactly
rounded (`math.fsum`), so that they do not depend on the order in which devices reported.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

_SUM, _COUNT = "_sum", "_count"


def combine(reports: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The round's metrics: `<name>_sum` over `<name>_count` where both are given, the plain total otherwise.

    A mean of nothing is left out, and so is what no float holds: a device may report any finite number.
    """
    gathered = list(reports)
    names = sorted({name for report in gathered for name in report})
    totals = {name: _total(report.get(name, 0.0) for report in gathered) for name in names}
    combined: dict[str, float] = {}
    for name, total in totals.items():
        stem = name.removesuffix(_SUM)
        count = totals.get(stem + _COUNT)
        if name.endswith(_SUM) and count is not None:
            if count > 0:
                combined[stem] = total / count
        elif not (name.endswith(_COUNT) and name.removesuffix(_COUNT) + _SUM in totals):
            combined[name] = total
    return {name: value for name, value in combined.items() if math.isfinite(value)}


def of_staleness(stalenesses: Sequence[int]) -> dict[str, float]:
    """How stale the updates of an asynchronous round were: the mean and the largest of theirs."""
    return {"staleness": math.fsum(stalenesses) / len(stalenesses), "staleness_max": float(max(stalenesses))}


def _total(values: Iterable[float]) -> float:
    try:
        return math.fsum(values)
    except OverflowError:
        return math.inf
