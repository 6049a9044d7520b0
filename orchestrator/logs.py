"""Logs for people, or one JSON object a line for programs, with the ids of what a line is about."""

import json
import logging
import sys
import time
from collections.abc import Callable
from typing import Any

TEXT, JSON = "text", "json"
_TOLD_EVERY_SECONDS = 10.0
_OVER_SECONDS = 60.0
IDS = ("task_id", "round_id", "round_number", "assignment_id", "device_id")


class JsonLines(logging.Formatter):
    """One JSON object a record: `time`, `level`, `logger`, `message`, ids where the record has them, `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        """The object of one record."""
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: getattr(record, name) for name in IDS if hasattr(record, name)}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class Trouble:
    """What goes wrong again and again while something is away, such as the database.

    The first time it is told with its traceback, then in a line at most every ten seconds, and with its traceback again
    when it comes back after a minute or is another error.

    Args:
        log: where it is told.
        clock: seconds, from whenever.
    """

    def __init__(self, log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._kind: type[Exception] | None = None
        self._came_at = self._told_at = 0.0

    def tell(self, message: str, error: Exception) -> None:
        """Tell of one more failure, or leave it at what was told."""
        now, last = self._clock(), self._came_at
        self._came_at = now
        if type(error) is not self._kind or now - last > _OVER_SECONDS:
            self._log.error(message, exc_info=error)
        elif now - self._told_at >= _TOLD_EVERY_SECONDS:
            lines = str(error).splitlines()
            self._log.error("%s (still %s: %s)", message, type(error).__name__, lines[0] if lines else "")
        else:
            return
        self._kind, self._told_at = type(error), now


def configure(style: str) -> None:
    """Write this process's logs to standard error, in `TEXT` or `JSON`; of libraries, only warnings."""
    handler = logging.StreamHandler(sys.stderr)
    as_text = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(JsonLines() if style == JSON else as_text)
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for library in ("alembic", "sqlalchemy", "uvicorn"):
        logging.getLogger(library).setLevel(logging.WARNING)
