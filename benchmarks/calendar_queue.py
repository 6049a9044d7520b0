"""A calendar queue of virtual devices, for `benchmarks.virtual_fleet`: who is due when, without sorting anybody.

Brown, "Calendar queues: a fast O(1) priority queue implementation for the simulation event set problem"
(Communications of the ACM 31, 1988): like a desk calendar, it has a page for every day of one year; what happens in a
later year stands on the page of its day as well, and is passed over until then. A day is a minute here, and a year has
128 of them.

What is known of a device stands on the page itself and moves with it, so that a minute reads one page from front to
back. With ten million devices, looking each of them up in arrays of all would be a walk all over the memory, and would
take most of the time.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

PAGE_SECONDS = 60.0
_PAGES = 128

Floats = NDArray[np.float32]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class Page:
    """What is known of some devices, 20 bytes each; their order says nothing.

    Attributes:
        number: the device's own, from 0.
        due: when it checks in next, in seconds.
        told: how long it was last told to wait, in seconds.
        seen: when it last checked in; minus infinity for never.
        sleepiness: it is awake while the share of the devices that are awake is larger.
    """

    number: NDArray[np.int32]
    due: Floats
    told: Floats
    seen: Floats
    sleepiness: Floats

    @classmethod
    def joined(cls, pages: list["Page"]) -> "Page":
        """All the entries of several pages on one."""
        return cls(*(np.concatenate(columns) for columns in zip(*(page.columns for page in pages), strict=True)))

    def at(self, places: Places) -> "Page":
        """A page with copies of the entries at these places."""
        return Page(*(column[places] for column in self.columns))

    @property
    def columns(self) -> tuple[NDArray[Any], ...]:
        """The arrays, in the order of the attributes."""
        return self.number, self.due, self.told, self.seen, self.sleepiness


class Calendar:
    """Devices on the pages of the minutes in which they are due; minute 0 ends after `PAGE_SECONDS`.

    Args:
        devices: those that it begins with.
    """

    def __init__(self, devices: Page) -> None:
        self._empty = devices.at(np.zeros(0, np.int64))
        self._pages: list[list[Page]] = [[] for _ in range(_PAGES)]
        self.write(devices, 0)

    def write(self, devices: Page, earliest: int) -> None:
        """Put every device on the page of its minute; those that were due before the earliest on the earliest's."""
        minutes = np.maximum(np.ceil(devices.due / np.float64(PAGE_SECONDS)) - 1, earliest)
        pages = (minutes % _PAGES).astype(np.uint8)
        order = np.argsort(pages, kind="stable")  # a radix sort, for numbers of a byte
        ends = np.cumsum(np.bincount(pages, minlength=_PAGES))
        for page, places in zip(self._pages, np.split(order, ends[:-1]), strict=True):
            if len(places):
                page.append(devices.at(places))

    def take(self, minute: int) -> Page:
        """Take the devices that are due by the end of a minute off its page."""
        place = minute % _PAGES
        page = Page.joined([self._empty, *self._pages[place]])
        is_due = page.due <= (minute + 1) * PAGE_SECONDS
        self._pages[place] = [page.at(np.flatnonzero(~is_due))]
        return page.at(np.flatnonzero(is_due))
