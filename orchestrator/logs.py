"""Logs for people, or one JSON object a line for programs, with the ids of what a line is about."""

import json
import logging
import sys
import time
from typing import Any

TEXT, JSON = "text", "json"
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


def configure(style: str) -> None:
    """Write this process's logs to standard error, in `TEXT` or `JSON`; of libraries, only warnings."""
    handler = logging.StreamHandler(sys.stderr)
    as_text = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(JsonLines() if style == JSON else as_text)
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for library in ("alembic", "sqlalchemy", "uvicorn"):
        logging.getLogger(library).setLevel(logging.WARNING)
