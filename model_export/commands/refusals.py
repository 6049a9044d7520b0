"""How a command says that something was refused: one line on stderr, and the process's exit status."""

import json
import sys

from model_export.errors import ExportError, MissingTensorFlowError

REFUSED, UNAVAILABLE = 1, 2


def report(command: str, error: ExportError, *, as_json: bool = False) -> int:
    """Print the error, as `fedelta COMMAND: …` or as JSON that a program can read, and give the exit status."""
    document = {"error": type(error).__name__, "message": str(error)}
    print(json.dumps(document) if as_json else f"fedelta {command}: {error}", file=sys.stderr)
    return UNAVAILABLE if isinstance(error, MissingTensorFlowError) else REFUSED
