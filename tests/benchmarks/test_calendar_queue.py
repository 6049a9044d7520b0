"""The calendar of the virtual fleet: every device comes up in the minute in which it is due, and is there once."""

import numpy as np
import pytest

from benchmarks.calendar_queue import PAGE_SECONDS, Calendar, Page

COUNT = 2000
YEARS = 5  # of the calendar: it has fewer pages than minutes are asked for here
MINUTES = YEARS * 128


def devices(due: np.ndarray) -> Page:
    """Devices whose other columns say which they are."""
    number = np.arange(len(due), dtype=np.int32)
    told, seen, sleepiness = ((number + column).astype(np.float32) for column in range(3))
    return Page(number, due.astype(np.float32), told, seen, sleepiness)


@pytest.fixture
def page() -> Page:
    return devices(np.random.default_rng(1).uniform(0, MINUTES * PAGE_SECONDS, COUNT))


def test_every_device_comes_up_in_its_minute_with_all_that_is_known_of_it(page: Page) -> None:
    calendar = Calendar(page)
    minutes = [calendar.take(minute) for minute in range(MINUTES)]
    for minute, taken in enumerate(minutes):
        assert (taken.due > minute * PAGE_SECONDS).all()
        assert (taken.due <= (minute + 1) * PAGE_SECONDS).all()
    together = Page.joined(minutes)
    for column, expected in zip(together.at(np.argsort(together.number)).columns, page.columns, strict=True):
        assert (column == expected).all()


def test_a_minute_ends_with_its_last_moment() -> None:
    calendar = Calendar(devices(np.array([0, 60, np.nextafter(np.float32(60), np.float32(61)), 120])))
    assert calendar.take(0).number.tolist() == [0, 1]
    assert sorted(calendar.take(1).number.tolist()) == [2, 3]


def test_devices_that_were_due_before_come_up_in_the_earliest_minute(page: Page) -> None:
    calendar = Calendar(page)
    for minute in range(3):
        calendar.take(minute)
    late = devices(np.array([10.0, 200.0]))
    calendar.write(late, 3)
    assert {0, 1} <= set(calendar.take(3).number.tolist())


def test_a_simulation_like_a_sorted_list_of_events() -> None:
    """Again and again each device is put off; the slow and obvious way is a dictionary of due times."""
    random = np.random.default_rng(2)
    page = devices(random.uniform(0, 600, 300))
    calendar = Calendar(page)
    due = dict(zip(page.number.tolist(), page.due.tolist(), strict=True))
    for minute in range(MINUTES):
        taken = calendar.take(minute)
        assert set(taken.number.tolist()) == {n for n, moment in due.items() if moment <= (minute + 1) * PAGE_SECONDS}
        taken.due[:] = (minute + 1) * PAGE_SECONDS + random.exponential(3600, len(taken.due))
        due.update(zip(taken.number.tolist(), taken.due.tolist(), strict=True))
        calendar.write(taken, minute + 1)
    assert len(due) == len(page.due)
