"""Pace steering: devices come as often as rounds need, spread where they are many, together where they are few."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain import pacing
from orchestrator.domain.pacing import Limits, Traffic, Wanted
from wire.operator_messages import RoundPolicy

LIMITS = Limits(shortest_seconds=2, longest_seconds=3600, most_per_second=500)
NOTHING = Wanted()
SIZES = st.floats(0, 1e8)
DRAWS = st.floats(0, 1, exclude_max=True)
NEEDS = st.builds(Wanted, st.floats(0, 1e4), st.integers(0, 100_000), st.floats(0.1, 1e5))
ANY_LIMITS = st.builds(Limits, st.floats(0.1, 1000), st.floats(1, 1e5), st.floats(0.1, 1e5))


def cycling(devices: int, wait: float, seconds: float, traffic: Traffic, seed: int = 0) -> Traffic:
    """The traffic after devices came round after round, each about every `wait` seconds."""
    generator = np.random.default_rng(seed)
    due, last = generator.uniform(0, wait, devices), np.full(devices, -math.inf)
    start, step = traffic.counted_at, min(wait / 20, 30.0)
    for now in np.arange(step, seconds, step):
        here = np.flatnonzero(due <= now)
        if len(here):
            traffic = pacing.counted(traffic, now - last[here], start + float(now))
            last[here] = now
            due[here] = now + wait * (0.5 + generator.random(len(here)))
    return traffic


def test_asynchronous_rounds_want_their_places_filled_and_nobody_together() -> None:
    policy = RoundPolicy(cohort=10, concurrency=600, selection_deadline_seconds=60)
    assert pacing.wanted([(policy, False)]) == Wanted(per_second=10.0)
    beside = pacing.wanted([(policy, False), (RoundPolicy(cohort=30, selection_deadline_seconds=60), False)])
    assert beside == Wanted(per_second=10.5, places=30, within_seconds=60)


@pytest.mark.parametrize("wait", [2.0, 60.0, 900.0, 2400.0])
@pytest.mark.parametrize("devices", [20, 3000])
def test_the_size_of_a_population_is_estimated_from_its_check_ins(devices: int, wait: float) -> None:
    seconds = min(20 * wait, 4 * 3600)
    traffic = cycling(devices, wait, seconds, Traffic(1e9))
    assert traffic.devices == pytest.approx(devices, rel=0.25 if devices == 20 else 0.05)


def test_a_device_is_counted_as_one_from_its_first_check_in() -> None:
    traffic = pacing.counted(Traffic(0.0, exposure_seconds=1000.0, check_ins=50, device_seconds=7000.0), math.inf, 0.0)
    assert traffic.devices == pytest.approx(8)


def test_many_devices_that_come_for_the_first_time_are_not_all_asked_back_at_once() -> None:
    traffic = Traffic(0.0)
    for now in range(1, 101):
        traffic = pacing.counted(traffic, np.full(10_000, math.inf), float(now))
    assert 500_000 < traffic.devices < 1_000_000  # those that have not come back count for half of the time
    assert pacing.usual_wait_seconds(traffic.devices, NOTHING, LIMITS) == 2400


def test_an_outage_does_not_make_a_population_look_smaller() -> None:
    before = cycling(3000, 60.0, 7200.0, Traffic(0.0))
    after = pacing.counted(before, 3600.0, before.counted_at + 3600)
    assert after.devices == pytest.approx(before.devices, rel=0.1)


def test_a_night_does() -> None:
    day = cycling(4000, 60.0, 7200.0, Traffic(0.0))
    night = cycling(1000, 60.0, 4 * 3600.0, day)
    assert night.devices == pytest.approx(1000, rel=0.1)


@given(st.lists(st.tuples(st.floats(0, 1e6), st.none() | st.floats(-10, 1e6)), max_size=30))
def test_whatever_devices_do_the_estimate_stays_a_number(steps: list[tuple[float, float | None]]) -> None:
    traffic, now = Traffic(0.0), 0.0
    for seconds, away in steps:
        now += seconds
        traffic = pacing.counted(traffic, math.inf if away is None else away, now)
        assert 0 <= traffic.devices <= traffic.check_ins * (1 + 1e-9) + 1e-6
        assert traffic.exposure_seconds <= pacing.FADING_SECONDS * (1 + 1e-12)
    assert traffic.counted_at == now


@given(DRAWS, st.floats(0, 2e9), SIZES, NEEDS, ANY_LIMITS)
def test_a_wait_keeps_to_the_limits(draw: float, now: float, devices: float, needs: Wanted, limits: Limits) -> None:
    wait = pacing.retry_after_seconds(draw, now, devices, needs, limits)
    together = needs.within_seconds / 2 if pacing.is_brought_together(devices, needs, limits) else 0
    shortest, longest = limits.shortest_seconds, max(limits.longest_seconds, 1.5 * limits.shortest_seconds)
    assert shortest / 2 - 1e-6 <= wait <= (longest + together) * (1 + 1e-9) + 1e-6


@given(st.lists(DRAWS, min_size=1, max_size=20), st.floats(0, 2e9), SIZES, NEEDS, ANY_LIMITS)
def test_waits_of_an_array_of_devices_are_those_of_each(
    draws: list[float], now: float, devices: float, needs: Wanted, limits: Limits
) -> None:
    waits = pacing.retry_after_seconds(np.array(draws), now, devices, needs, limits)
    assert list(np.atleast_1d(waits)) == [
        pacing.retry_after_seconds(draw, now, devices, needs, limits) for draw in draws
    ]


@given(SIZES, SIZES, NEEDS, ANY_LIMITS)
def test_more_devices_come_less_often_each(one: float, other: float, needs: Wanted, limits: Limits) -> None:
    fewer, more = sorted((one, other))
    assert pacing.usual_wait_seconds(fewer, needs, limits) <= pacing.usual_wait_seconds(more, needs, limits)


@pytest.mark.parametrize(("devices", "seconds"), [(1, 2), (200, 2), (1000, 10), (100_000, 1000), (10**7, 2400)])
def test_an_idle_population_comes_at_a_fifth_of_what_is_welcome(devices: int, seconds: float) -> None:
    assert pacing.usual_wait_seconds(devices, NOTHING, LIMITS) == seconds


def test_rounds_that_need_many_devices_let_them_come_more_often() -> None:
    needs = pacing.wanted([(RoundPolicy(cohort=6000, selection_deadline_seconds=60), False)])
    assert needs == Wanted(100.0, 6000, 60.0)
    assert pacing.check_ins_per_second(needs, LIMITS) == 200
    assert pacing.check_ins_per_second(replace(needs, per_second=1e6), LIMITS) == 500


def test_a_round_for_a_share_of_the_devices_needs_more_of_them() -> None:
    policy = RoundPolicy(cohort=60, evaluation_share=0.1)
    assert pacing.wanted([(policy, True)]).per_second == pytest.approx(10)
    assert pacing.wanted([(policy, False)]).per_second == pytest.approx(1 / 0.9)


def test_a_small_population_comes_together_and_fills_a_round() -> None:
    """Twenty devices that come every quarter of an hour: one by one, a minute would bring one of them."""
    limits = replace(LIMITS, shortest_seconds=900)
    needs = pacing.wanted([(RoundPolicy(cohort=15, selection_deadline_seconds=60), False)])
    generator = np.random.default_rng(3)
    asked_at = generator.uniform(9460, 10_340, 20)  # in one period, which lies around a multiple of 900
    due = np.array([
        now + pacing.retry_after_seconds(generator.random(), float(now), 20, needs, limits) for now in asked_at
    ])  # fmt: skip
    assert pacing.is_brought_together(20, needs, limits)
    assert due.max() - due.min() <= 30
    assert all(asked_at + 450 <= due)


def test_a_large_population_is_spread() -> None:
    needs = pacing.wanted([(RoundPolicy(cohort=100), False)])
    waits = pacing.retry_after_seconds(np.random.default_rng(1).random(100_000), 5.0, 100_000, needs, LIMITS)
    counts, _ = np.histogram(waits, bins=100, range=(500, 1500))
    assert counts.sum() == 100_000
    assert counts.max() < 1.2 * counts.mean()


@pytest.mark.parametrize(("devices", "wait"), [(20, 2.0), (100_000, 1000.0)])
def test_enough_devices_are_never_brought_together(devices: int, wait: float) -> None:
    needs = pacing.wanted([(RoundPolicy(cohort=15), False)])
    assert not pacing.is_brought_together(devices, needs, LIMITS)
    assert pacing.usual_wait_seconds(devices, needs, LIMITS) == wait
