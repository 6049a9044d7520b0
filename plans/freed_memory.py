"""What a C library does with memory that was freed.

glibc keeps what is freed between blocks that are still in use. After the conversion of a model of 1.2 million
parameters that was 70 MiB, and as much again after its verification; after a round of it, 50 MiB. To give them back
takes ten milliseconds. It also keeps a pool for every few threads: of updates of 6.6 MB, which a server's threads hash
and check by turns, 30 MiB lay in pools that nobody used just then.

Elsewhere than on glibc nothing is done.
"""

import ctypes
import sys
from typing import Any

_M_ARENA_MAX = -8  # of mallopt(3)
_POOLS = 2


def give_back() -> None:
    """Return what is free to the system."""
    if (trim := _of_glibc("malloc_trim")) is not None:
        trim(0)


def share_pools() -> None:
    """From now on, let threads share two pools; those that began earlier keep what they have."""
    if (mallopt := _of_glibc("mallopt")) is not None:
        mallopt(_M_ARENA_MAX, _POOLS)


def _of_glibc(name: str) -> Any:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
