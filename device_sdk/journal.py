"""The assignment in flight, on the disk before anything is done about it.

An entry without a report is work to do; an entry with one is a report to deliver, and beside it lie its update and
what the device is to keep once the report is accepted. The entry goes only when the orchestrator has answered for good.
So a device that loses power at any moment goes on where it was: it trains again with the same seed, or sends the same
bytes again.
"""

import logging
from dataclasses import dataclass, replace

from device_sdk import files
from device_sdk.state_dir import StateDir
from plans.bundle import digest
from wire import codec
from wire.errors import MessageError
from wire.messages import Assignment, Report

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """One assignment.

    Attributes:
        deadline: when its round stops waiting, in UTC seconds since 1970 by this device's clock.
        attempts: how often its work was begun; one that kills the process each time is given up.
        report: how it ended, once it has.
        kept_sha256: the digest of what is to be kept then, if anything is.
    """

    assignment: Assignment
    deadline: float
    attempts: int = 0
    report: Report | None = None
    kept_sha256: str | None = None


class Journal:
    """The journal of one state directory; its methods return when the disk has what they say."""

    def __init__(self, state: StateDir) -> None:
        self._state = state

    def read(self) -> Entry | None:
        """The entry, or None where nothing is in flight. What cannot be read is set aside, never met again."""
        try:
            entry = codec.loads(Entry, self._state.journal.read_bytes())
        except FileNotFoundError:
            return None
        except MessageError as error:
            aside = files.set_aside(self._state.journal)
            _log.warning("the journal cannot be read and is now %s: %s", aside, error)
            return None
        if entry.report is not None and not self._holds_update(entry.report):
            _log.warning("the update of round %d is damaged; training again", entry.assignment.round_number)
            return replace(entry, report=None, kept_sha256=None)
        return entry

    def open(self, assignment: Assignment, deadline: float) -> Entry:
        """Write down a new assignment."""
        return self._write(Entry(assignment, deadline))

    def begin(self, entry: Entry) -> Entry:
        """Write down that its work begins once more."""
        return self._write(replace(entry, attempts=entry.attempts + 1))

    def end(self, entry: Entry, report: Report, update: bytes = b"", kept: bytes = b"") -> Entry:
        """Write down how the work ended.

        Args:
            update: the bytes that the report names, empty where it names none.
            kept: what the device is to keep, empty for nothing.
        """
        if report.update is not None:
            files.write_durably(self._state.update, update)
        if kept:
            files.write_durably(self._state.kept_next, kept)
        return self._write(replace(entry, report=report, kept_sha256=digest(kept) if kept else None))

    def read_update(self) -> bytes:
        """The update of the entry's report."""
        return self._state.update.read_bytes()

    def clear(self) -> None:
        """Forget the entry: the orchestrator has it, or wants it no more."""
        files.remove_durably(self._state.journal)
        self._state.update.unlink(missing_ok=True)
        self._state.kept_next.unlink(missing_ok=True)

    def _write(self, entry: Entry) -> Entry:
        files.write_durably(self._state.journal, codec.dumps(entry))
        return entry

    def _holds_update(self, report: Report) -> bool:
        if report.update is None:
            return True
        try:
            return digest(self._state.update.read_bytes()) == report.update.resource.sha256
        except FileNotFoundError:
            return False
