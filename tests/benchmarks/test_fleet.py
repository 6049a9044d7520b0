"""The virtual fleet: rounds reach their goals by day and by night, and no minute is a stampede."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import fleet
from benchmarks.virtual_fleet import DAY, Course, World, share_awake
from orchestrator.domain.rounds import RoundState

pytestmark = pytest.mark.timeout(300)
WORLD = World(5000, 1.75, fleet.OUTAGE)


@pytest.fixture(scope="module")
def course() -> Course:
    return fleet.measured(WORLD)[1]


def test_rounds_reach_their_goals_and_no_minute_sees_twice_the_usual_check_ins(course: Course) -> None:
    figures = fleet.summary(course)
    assert figures["rounds_undisturbed"] > 500
    assert figures["rounds_that_reached_their_goal_share"] > 0.95
    assert figures["busiest_minute_over_median"] < 2
    assert figures["busiest_minute_after_outage_over_the_hour_before"] < 1.5
    assert figures["estimate_error_median"] < 0.1


def test_nobody_checks_in_while_the_orchestrator_is_down(course: Course) -> None:
    down, up = (round(moment / 60) for moment in fleet.OUTAGE)
    assert course.check_ins[down : up - 1].sum() == 0
    assert course.check_ins[down - 10 : down].min() > 0
    assert course.check_ins[up : up + 10].min() > 0


def test_a_virtual_round_keeps_to_its_policy(course: Course) -> None:
    for one in course.rounds:
        policy, progress = one.task.policy, one.progress
        assert progress.assigned <= policy.cohort
        assert (progress.reported >= policy.minimum) == (progress.state is RoundState.AGGREGATION)
    numbers = [one.number for one in course.rounds if one.task is fleet.TASKS[0]]
    assert numbers == list(range(1, len(numbers) + 1))


def test_four_times_as_many_devices_are_awake_at_the_best_hour() -> None:
    shares = np.array([share_awake(now) for now in np.arange(0, DAY, 600)])
    assert shares.max() == pytest.approx(1)
    assert shares.min() == pytest.approx(0.25)


def test_figures_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "figures.json"
    assert fleet.main(["--quick", "--devices", "300", "--json", str(file)]) == 0
    assert [one["devices"] for one in json.loads(file.read_text())["records"]] == [300]
    assert "| 300 |" in capsys.readouterr().out
