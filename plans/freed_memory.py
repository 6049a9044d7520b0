"""Gives memory back to the system that a library has freed.

glibc keeps what is freed between blocks that are still in use. After the conversion of a model of 1.2 million
parameters that was 70 MiB, and as much again after its verification; after a round of it, 50 MiB. To give them back
takes ten milliseconds.
"""

import ctypes
import sys


def give_back() -> None:
    """Return what is free to the system, where the C library can."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc alone
        if trim is not None:
            trim(0)
