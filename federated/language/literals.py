"""Arrays in a JSON document, exact to the last bit."""

import base64
import binascii
import math
from dataclasses import dataclass

import numpy as np

from federated.language.conversion import DTYPES
from federated.language.errors import DocumentError
from wire.tensors import Array

_MAX_RANK = 32  # numpy's own limit is 64
_MAX_SIZE = 1 << 40
_MAX_SHOWN = 8


@dataclass(frozen=True)
class WrittenArray:
    """An array as it is written: little-endian and row-major in base64; strings as they are."""

    dtype: str
    shape: tuple[int, ...]
    data: str | None = None
    strings: tuple[str, ...] | None = None


def written_array(array: Array) -> WrittenArray:
    """The written form of an array of one of the language's dtypes."""
    shape = tuple(int(size) for size in array.shape)
    if array.dtype.kind in "US":
        return WrittenArray("str", shape, strings=tuple(str(text) for text in array.flat))
    little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
    return WrittenArray(array.dtype.name, shape, base64.b64encode(little.tobytes()).decode())


def read_array(written: WrittenArray, path: str) -> Array:
    """The array.

    Raises:
        DocumentError: it has no such dtype, shape or number of bytes; names the path.
    """
    if written.dtype not in DTYPES:
        raise DocumentError(f"{path}: {written.dtype!r} is not one of the dtypes {', '.join(DTYPES)}")
    if len(written.shape) > _MAX_RANK or any(not 0 <= size <= _MAX_SIZE for size in written.shape):
        raise DocumentError(f"{path}: {list(written.shape)[:_MAX_SHOWN]} is no shape of a tensor")
    count = math.prod(written.shape)
    if written.dtype == "str":
        if written.strings is None or len(written.strings) != count:
            raise DocumentError(f"{path}: expected {count} strings, found {len(written.strings or ())}")
        return np.array(written.strings, dtype=np.str_).reshape(written.shape)
    dtype = np.dtype(written.dtype)
    try:
        data = base64.b64decode(written.data or "", validate=True)
    except (binascii.Error, ValueError) as error:
        raise DocumentError(f"{path}: expected base64: {error}") from None
    if len(data) != count * dtype.itemsize:
        raise DocumentError(f"{path}: expected {count * dtype.itemsize} bytes, found {len(data)}")
    return np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype).reshape(written.shape)
