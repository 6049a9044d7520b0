"""Pages of a list, and the opaque cursors between them.

A cursor holds the place of the last row that was given, never a count: rows that come meanwhile move nothing, so a
walk over the pages gives every row that was there at its beginning exactly once.
"""

import base64
import json
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
Place = tuple[str | int | float, ...]

MOST_ROWS = 1000
USUAL_ROWS = 100
MOST_CURSOR_CHARACTERS = 500
_LARGEST = 1 << 40  # more than any moment or number of a row


@dataclass(frozen=True)
class PageRequest:
    """Which page of a list: at most `limit` rows, after those that `cursor` has seen."""

    limit: int = USUAL_ROWS
    cursor: str | None = None


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some rows of a list; `next_cursor` is None on the last page."""

    rows: tuple[T, ...]
    next_cursor: str | None


def cursor_of(list_name: str, place: Place) -> str:
    """The cursor of a row's place in a list."""
    return base64.urlsafe_b64encode(json.dumps([list_name, *place]).encode()).decode().rstrip("=")


def place_of(list_name: str, cursor: str, size: int) -> Place:
    """The place of `size` values that a cursor of this list holds.

    Raises:
        ValueError: it is not a cursor of this list.
    """
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        name, *place = json.loads(base64.b64decode(padded, b"-_", validate=True))
    except (ValueError, TypeError, RecursionError):
        name, place = None, []
    if name != list_name or len(place) != size or not all(_is_kept(value) for value in place):
        raise ValueError(f"expected a cursor that a page of {list_name} gave, found {cursor[:40]!r}")
    return tuple(place)


def _is_kept(value: object) -> bool:
    """Whether some row may have it: text, or a number that every database holds."""
    if isinstance(value, str):
        return value.isprintable()
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _LARGEST
