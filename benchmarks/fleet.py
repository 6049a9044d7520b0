"""Three days of a fleet of a thousand to ten million devices, on a virtual clock.

    python -m benchmarks.fleet [--quick] [--devices COUNT …] [--json FILE] [--plot FILE.png]

The functions that pace devices, select them, share them between tasks and end rounds are those of the orchestrator
(`benchmarks.virtual_fleet`). It shows whether rounds reach their goals by day and by night, and whether the busiest
minute, also after an outage of an hour, is near the usual one.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.virtual_fleet import DAY, HOUR, Course, Round, Task, VirtualFleet, World
from orchestrator.domain.pacing import Limits
from orchestrator.domain.rounds import RoundState
from wire.operator_messages import RoundPolicy

SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
QUICK_SIZES = (1_000, 100_000)
MOST_FORGETFUL = 100_000
LIMITS = Limits(shortest_seconds=60.0)
WARM_UP_SECONDS = 12 * HOUR
OUTAGE = (DAY + 14 * HOUR, DAY + 15 * HOUR)
TASKS = [
    Task(
        "keyboard",
        RoundPolicy(cohort=130, report_goal=100, minimum_reports=80, evaluation_share=0.2, minimum_rounds_between=1),
    ),
    Task(
        "emoji",
        RoundPolicy(cohort=65, report_goal=50, minimum_reports=40, evaluation_share=0.2, priority=2.0),
    ),
    Task("evaluation", RoundPolicy(cohort=26, report_goal=20, minimum_reports=10, evaluation_share=0.2), reads=True),
]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark from the command line."""
    options = _parser().parse_args(argv)
    sizes = options.devices or (QUICK_SIZES if options.quick else SIZES)
    days = 2.0 if options.quick else 3.0
    records, courses = [], {}
    for devices in sizes:
        record, courses[devices] = measured(World(devices, days, OUTAGE))
        records.append(record)
        print(f"{devices:>12,} devices: {record['cpu_seconds']:.0f} s", file=sys.stderr)
    impatient, _ = measured(World(min(sizes[-1], MOST_FORGETFUL), days, OUTAGE, is_patient=False))
    document = {"days": days, "outage_hours": 1.0, "records": records, "without_patience": impatient}
    print(markdown(document))
    if options.json is not None:
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    if options.plot is not None:
        plot(courses, options.plot)
    return 0


def measured(world: World) -> tuple[dict[str, Any], Course]:
    """A fleet's days, and what they came to."""
    began = time.process_time()
    course = VirtualFleet(world, TASKS, LIMITS).live()
    figures = summary(course)
    figures |= {
        "devices": world.devices,
        "cpu_seconds": time.process_time() - began,
        "peak_resident_bytes_so_far": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10,
    }
    return figures, course


def summary(course: Course) -> dict[str, Any]:
    """The figures of a course, of the time after the warm-up."""
    first, down, up = (round(moment / 60) for moment in (WARM_UP_SECONDS, *OUTAGE))
    minutes = course.check_ins[first:]
    usual = float(np.median(minutes))
    before, after = course.check_ins[down - 60 : down], course.check_ins[up : up + 120]
    ended = [one for one in course.rounds if _began(one) >= WARM_UP_SECONDS]
    undisturbed = [one for one in ended if not OUTAGE[0] - 900 <= _began(one) < OUTAGE[1]]
    completed = [one for one in undisturbed if one.progress.state is RoundState.AGGREGATION]
    reached = [one for one in completed if one.progress.reported >= one.task.policy.goal]
    filling = [
        one.progress.reporting_since - _began(one) for one in completed if one.progress.reporting_since is not None
    ]
    errors = np.abs(course.estimated[first:down] / course.awake[first:down] - 1)
    return {
        "check_ins_per_minute_median": usual,
        "busiest_minute_over_median": float(minutes.max() / usual),
        "busiest_minute_after_outage_over_the_hour_before": float(after.max() / np.median(before)),
        "rounds_undisturbed": len(undisturbed),
        "rounds_completed_share": len(completed) / len(undisturbed),
        "rounds_that_reached_their_goal_share": len(reached) / len(undisturbed),
        "rounds_in_the_outage": len(ended) - len(undisturbed),
        "selection_seconds_median": float(np.median(filling)),
        "selection_seconds_99th": float(np.percentile(filling, 99)),
        "estimate_error_median": float(np.median(errors)),
    }


def _began(one: Round) -> float:
    assert one.progress.first_assigned_at is not None
    return one.progress.first_assigned_at


def markdown(document: Mapping[str, Any]) -> str:
    """The figures as a table."""
    head = (
        "| devices | check-ins a minute | busiest minute | after the outage | rounds | reached their goal "
        "| selection, s | estimate off by | CPU, s |"
    )
    lines = [head, "| --- |" + " --- |" * 8]
    lines += [_row(one) for one in document["records"]]
    without = document["without_patience"]
    lines.append(
        f"\n{without['devices']:,} devices that forget what they were told: "
        f"{without['busiest_minute_after_outage_over_the_hour_before']:.1f} × after the outage."
    )
    return "\n".join(lines)


def _row(one: Mapping[str, Any]) -> str:
    cells = [
        f"{one['devices']:,}",
        f"{one['check_ins_per_minute_median']:,.0f}",
        f"{one['busiest_minute_over_median']:.2f} ×",
        f"{one['busiest_minute_after_outage_over_the_hour_before']:.2f} ×",
        f"{one['rounds_undisturbed']:,}",
        f"{100 * one['rounds_that_reached_their_goal_share']:.1f} %",
        f"{one['selection_seconds_median']:.0f}, 99 % in {one['selection_seconds_99th']:.0f}",
        f"{100 * one['estimate_error_median']:.0f} %",
        f"{one['cpu_seconds']:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def plot(courses: Mapping[int, Course], path: Path) -> None:
    """Check-ins by minute, and devices awake and estimated, a column a size. Needs matplotlib."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.2 * len(courses), 5), layout="constrained")
    axes = figure.subplots(2, len(courses), sharex=True, squeeze=False)
    for column, (devices, course) in enumerate(courses.items()):
        hours = np.arange(len(course.check_ins)) / 60
        axes[0, column].plot(hours, course.check_ins, linewidth=0.5)
        axes[0, column].set(title=f"{devices:,} devices", ylim=(0, 2.2 * np.median(course.check_ins)))
        axes[1, column].plot(hours, course.awake, label="awake")
        axes[1, column].plot(hours, course.estimated, label="estimated")
        axes[1, column].set(xlabel="hour", ylim=(0, None), xticks=range(0, int(hours[-1]) + 2, 24))
    axes[0, 0].set(ylabel="check-ins a minute")
    axes[1, 0].set(ylabel="devices")
    axes[1, 0].legend()
    figure.savefig(path, dpi=110)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description="Pace virtual fleets for days.")
    parser.add_argument("--quick", action="store_true", help="two days of two small fleets: under a minute")
    parser.add_argument("--devices", type=int, nargs="+", metavar="COUNT", help="the fleets' sizes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the days; needs matplotlib")
    return parser


if __name__ == "__main__":
    sys.exit(main())
