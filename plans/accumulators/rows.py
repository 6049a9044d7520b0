"""The updates of a round, kept to be gone through together: in memory, and beyond a limit in a temporary file."""

import tempfile
import weakref
from collections.abc import Iterator, Sequence
from typing import IO, Self

import numpy as np

from wire.tensors import Array

_MEMORY_BYTES = 64 << 20
_BLOCK_BYTES = 16 << 20


class Rows:
    """Vectors of one width and dtype.

    Args:
        memory_bytes: how much of them is kept in memory; all of them are in a file once it is more.
    """

    def __init__(self, width: int, dtype: str, memory_bytes: int = _MEMORY_BYTES) -> None:
        self._width, self._dtype = width, np.dtype(dtype)
        self._memory_bytes = memory_bytes
        self._kept: list[Array] = []
        self._file: IO[bytes] | None = None
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, row: Array) -> None:
        """Keep one more."""
        self._count += 1
        if self._file is not None:
            self._file.write(np.ascontiguousarray(row, self._dtype).data)
            return
        self._kept.append(np.array(row, self._dtype))
        if self._count * self._width * self._dtype.itemsize > self._memory_bytes:
            self._spill()

    def extend(self, other: Self) -> None:
        """Keep another's, too."""
        for index in range(len(other)):
            self.append(other._part(index, slice(0, self._width)))

    def blocks(self, order: Sequence[int]) -> Iterator[tuple[slice, Array]]:
        """The vectors in this order, some coordinates at a time: which, and float64[rows, coordinates]."""
        size = max(1, _BLOCK_BYTES // (8 * max(self._count, 1)))
        for start in range(0, self._width, size):
            block = slice(start, min(start + size, self._width))
            yield block, np.array([self._part(index, block) for index in order], np.float64)

    def _part(self, index: int, block: slice) -> Array:
        if self._file is None:
            return self._kept[index][block]
        self._file.seek((index * self._width + block.start) * self._dtype.itemsize)
        data = self._file.read((block.stop - block.start) * self._dtype.itemsize)
        self._file.seek(0, 2)
        return np.frombuffer(data, self._dtype)

    def _spill(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="fedelta-updates-")  # noqa: SIM115 - closed with this object
        weakref.finalize(self, self._file.close)
        for row in self._kept:
            self._file.write(row.data)
        self._kept.clear()
