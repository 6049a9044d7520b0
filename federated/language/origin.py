"""Where in the user's program something was written, so that a refusal can point at it."""

import inspect
import linecache
import sys
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType

_MAX_DECORATORS_LINES = 30
_LIBRARIES = ("federated", "tensorflow", "keras", "numpy")


@dataclass(frozen=True)
class Origin:
    """A line of a program: `sensors.py:12: mean = fed.federated_mean(readings)`."""

    file: str
    line: int
    code: str

    def __str__(self) -> str:
        return f"{Path(self.file).name}:{self.line}: {self.code}"


def here() -> Origin | None:
    """The innermost line of the user's that is being run; None where there is no such line."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if not _is_foreign(frame.f_globals.get("__name__", "")):
            return _origin(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return None


def of_function(function: object) -> Origin | None:
    """The line on which a function of the user's begins, below its decorators; None for any other."""
    code = getattr(inspect.unwrap(function) if callable(function) else function, "__code__", None)
    if not isinstance(code, CodeType) or _is_foreign(getattr(function, "__module__", None) or ""):
        return None
    origin = _origin(code.co_filename, code.co_firstlineno)
    if not origin.code.startswith("@"):
        return origin
    below = (_origin(origin.file, origin.line + number) for number in range(1, _MAX_DECORATORS_LINES))
    return next((line for line in below if line.code.startswith(("def ", "async def "))), origin)


def _is_foreign(module: str) -> bool:
    """Whether the lines of a module are never what the user wrote, as this package's and its libraries' are not."""
    return module.partition(".")[0] in _LIBRARIES


def _origin(file: str, line: int) -> Origin:
    return Origin(file, line, linecache.getline(file, line).strip())
