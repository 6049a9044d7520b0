"""The virtual fleet: rounds reach their goals by day and by night, and no minute is a stampede."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import fleet
from benchmarks.virtual_fleet import DAY, HOUR, MANY_WAITS, Course, World, seconds_asleep, share_awake, waits_left
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


@pytest.mark.parametrize("hour", [0, 3.9, 5, 30])
def test_a_device_wakes_when_the_share_of_the_awake_is_its_own(hour: float) -> None:
    now = hour * HOUR
    sleepiness = np.random.default_rng(1).uniform(share_awake(now), 1, 100).astype(np.float32)
    for own, seconds in zip(sleepiness, seconds_asleep(sleepiness, now), strict=True):
        assert share_awake(now + seconds - 60) < own < share_awake(now + seconds + 60)


def test_a_device_that_slept_for_long_comes_as_if_it_had_tried_all_the_while() -> None:
    random = np.random.default_rng(1)
    tries = np.cumsum(0.5 + random.random((100_000, 2 * MANY_WAITS + 2)), 1)
    left = tries - MANY_WAITS
    by_every_try = np.where(left > 0, left, np.inf).min(1)
    by_shortcut = waits_left(random.random((2, 100_000), np.float32))
    shares = np.linspace(0.05, 0.95, 19)
    assert np.quantile(by_shortcut, shares) == pytest.approx(np.quantile(by_every_try, shares), abs=0.01)


def test_figures_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "figures.json"
    assert fleet.main(["--quick", "--devices", "300", "--json", str(file)]) == 0
    assert [one["devices"] for one in json.loads(file.read_text())["records"]] == [300]
    assert "| 300 |" in capsys.readouterr().out
