"""Keeps what TensorFlow's C++ libraries say about themselves out of a command's stderr.

They write to file descriptor 2 past Python: a warning before logging is set up, every refusal of the converter with its
whole call stack. What matters of it is in the errors that are raised.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from typing import TextIO

_STDERR = 2


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Inside, descriptor 2 leads nowhere, and Python's `sys.stderr` still leads to where it led.

    Does nothing where `sys.stderr` is not descriptor 2, as in a test that captures it.
    """
    if not _is_descriptor(sys.stderr):
        yield
        return
    sys.stderr.flush()
    real = os.dup(_STDERR)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, _STDERR)
        # Left open: loggers that start inside keep this stream for as long as the process lives.
        with redirect_stderr(os.fdopen(os.dup(real), "w", buffering=1)):
            yield
    finally:
        os.dup2(real, _STDERR)
        os.close(real)
        os.close(nowhere)


def _is_descriptor(stream: TextIO) -> bool:
    try:
        return stream.fileno() == _STDERR
    except (OSError, ValueError):  # io.UnsupportedOperation is both
        return False
