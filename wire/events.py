"""What happened, as a stream of server-sent events (the HTML standard's `text/event-stream`).

    id: 17
    event: round.completed
    data: {"event_id":17,"kind":"round.completed",…}

A reader that lost its connection names the last id that it saw in `Last-Event-ID`, and misses nothing that is kept.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from wire import codec

MEDIA_TYPE = "text/event-stream"
LAST_EVENT_HEADER = "Last-Event-ID"

OPENED = "stream.opened"
MISSED = "stream.missed"
HEARTBEAT = b": still here\n\n"
_ENDED_ROUND = ("round.completed", "round.abandoned", "round.failed", "round.cancelled")


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Attributes:
        event_id: later events have larger ids.
        kind: `task.created`, `task.` or `round.` and the state that was entered, `round.reports` as reports are
            counted, `task.rolled_back`, `checkpoint.labelled`, `checkpoint.unlabelled`; of the stream itself,
            `stream.opened` first, and `stream.missed` where events before the next one are not kept any more.
        at: UTC seconds since 1970.
        detail: of a round, what it knows: `reported`, `assigned`, `metrics`, `reason`; of a checkpoint, its `label`.
    """

    event_id: int
    kind: str
    at: float
    task_id: str | None = None
    round_number: int | None = None
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def ends_round(self) -> bool:
        """Whether a round ended."""
        return self.kind in _ENDED_ROUND


def written(event: Event) -> bytes:
    """An event as it stands in the stream."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.event_id, event.kind.encode(), codec.dumps(event))


def read(lines: Iterable[bytes]) -> Iterator[Event]:
    """The events of a stream's lines.

    Raises:
        MessageError: a line of data is no event.
    """
    for line in lines:
        if line.startswith(b"data:"):
            yield codec.loads(Event, line.removeprefix(b"data:").strip())
