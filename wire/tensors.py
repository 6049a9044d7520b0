"""Named arrays to bytes and back, in the safetensors layout.

    8 bytes   header length n, little-endian unsigned
    n bytes   JSON: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, ...}, padded with spaces
    the rest  the arrays, little-endian, row-major, without gaps

Ours are canonical: names sorted, one JSON spelling, the header padded to a multiple of eight. So equal tensors have
equal bytes, and the size of an update is known from its specs before it exists. Reading accepts any file of the layout
and checks every limit before it allocates. Source: the "Format" section of the safetensors README.
"""

import json
import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wire.errors import TensorFormatError

Array = NDArray[Any]

MAX_HEADER_BYTES = 1 << 20
MAX_TENSORS = 10_000
MAX_RANK = 8
MAX_ELEMENTS = 1 << 40
NAME_PATTERN = re.compile(r"[a-z0-9_]{1,200}")

_ALIGNMENT_BYTES = 8
_CODES = {
    "bool": "BOOL",
    "int8": "I8",
    "uint8": "U8",
    "int16": "I16",
    "uint16": "U16",
    "int32": "I32",
    "uint32": "U32",
    "int64": "I64",
    "uint64": "U64",
    "float16": "F16",
    "float32": "F32",
    "float64": "F64",
}
_DTYPES = {code: dtype for dtype, code in _CODES.items()}
DTYPES = frozenset(_CODES)


@dataclass(frozen=True)
class TensorSpec:
    """The dtype and static shape of one tensor, as `float32[3,4]`."""

    dtype: str
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype {self.dtype!r} is not one of {', '.join(sorted(DTYPES))}")
        if len(self.shape) > MAX_RANK or any(size < 0 for size in self.shape):
            raise ValueError(f"shape {list(self.shape)} must have at most {MAX_RANK} sizes, none negative")
        # A size of zero does not excuse the others: numpy refuses [2^62, 2^62, 0] in its own way.
        if math.prod(size or 1 for size in self.shape) > MAX_ELEMENTS:
            raise ValueError(f"shape {list(self.shape)} has more than {MAX_ELEMENTS} elements")

    def __str__(self) -> str:
        return self.dtype + (f"[{','.join(map(str, self.shape))}]" if self.shape else "")

    @cached_property
    def size_bytes(self) -> int:
        """The bytes of the array alone."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


Specs = Mapping[str, TensorSpec]
Tensors = Mapping[str, Array]


def spec_of(array: Array) -> TensorSpec:
    """The spec of an array."""
    return TensorSpec(str(array.dtype), tuple(array.shape))


def specs_of(tensors: Tensors) -> dict[str, TensorSpec]:
    """The specs of named arrays."""
    return {name: spec_of(array) for name, array in tensors.items()}


def encoded_size(specs: Specs) -> int:
    """The exact number of bytes `encode` gives for tensors of these specs."""
    return len(_header(specs)) + sum(spec.size_bytes for spec in specs.values())


def encode(tensors: Tensors) -> bytes:
    """The canonical bytes of named arrays.

    Raises:
        TensorFormatError: a name or a dtype that the layout cannot hold.
    """
    try:
        specs = specs_of(tensors)
    except ValueError as error:
        raise TensorFormatError(str(error)) from None
    for name in specs:
        if not NAME_PATTERN.fullmatch(name):
            raise TensorFormatError(f"tensor name {name!r} must match {NAME_PATTERN.pattern}")
    ordered = (np.ascontiguousarray(tensors[name]) for name in sorted(tensors))
    return b"".join([_header(specs), *(array.astype(array.dtype.newbyteorder("<")).tobytes() for array in ordered)])


def decode(data: bytes) -> dict[str, Array]:
    """The named arrays that some bytes hold, as read-only views of them.

    Raises:
        TensorFormatError: the bytes are not this layout, or not the size their header says.
    """
    header, body_offset = _read_header(data)
    body_size = len(data) - body_offset
    spans = []
    tensors = {}
    for name, entry in header.items():
        spec, begin, end = _read_entry(name, entry, body_size)
        spans.append((begin, end))
        dtype = np.dtype(spec.dtype).newbyteorder("<")
        count = math.prod(spec.shape)
        if spec.dtype == "bool" and data[body_offset + begin : body_offset + end].strip(b"\0\1"):
            raise TensorFormatError(f"tensor {name!r}: a bool is a byte of 0 or 1")
        tensors[name] = np.frombuffer(data, dtype, count, body_offset + begin).reshape(spec.shape)
    _check_spans(spans, body_size)
    return tensors


def decode_as(specs: Specs, data: bytes) -> dict[str, Array]:
    """The named arrays that some bytes hold, which must be exactly those of `specs`.

    Raises:
        TensorFormatError: not the layout, or another set of names, dtypes or shapes.
    """
    tensors = decode(data)
    check_specs(specs, tensors)
    return tensors


def check_specs(specs: Specs, tensors: Tensors) -> None:
    """Refuse tensors that are not exactly those of `specs`, naming what is missing, unknown or different.

    Raises:
        TensorFormatError: the names, dtypes or shapes differ.
    """
    missing = sorted(specs.keys() - tensors.keys())
    unknown = sorted(tensors.keys() - specs.keys())
    if missing or unknown:
        raise TensorFormatError(
            f"expected the tensors {_listed(specs)}"
            + (f"; missing {_listed(missing)}" if missing else "")
            + (f"; unknown {_listed(unknown)}" if unknown else "")
        )
    for name, spec in specs.items():
        found = tensors[name]
        if str(found.dtype) != spec.dtype or tuple(found.shape) != spec.shape:
            raise TensorFormatError(f"tensor {name!r}: expected {spec}, found {found.dtype}{list(found.shape)}")


def _header(specs: Specs) -> bytes:
    entries, offset = {}, 0
    for name in sorted(specs):
        spec = specs[name]
        end = offset + spec.size_bytes
        entries[name] = {"dtype": _CODES[spec.dtype], "shape": list(spec.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT_BYTES)
    return struct.pack("<Q", len(text)) + text


def _read_header(data: bytes) -> tuple[dict[str, Any], int]:
    if len(data) < _ALIGNMENT_BYTES:
        raise TensorFormatError(f"expected at least {_ALIGNMENT_BYTES} bytes of tensors, found {len(data)}")
    (length,) = struct.unpack_from("<Q", data)
    if length > min(MAX_HEADER_BYTES, len(data) - _ALIGNMENT_BYTES):
        raise TensorFormatError(
            f"the header says it has {length} bytes; at most {MAX_HEADER_BYTES} are allowed and the data holds "
            f"{len(data) - _ALIGNMENT_BYTES}"
        )
    end = _ALIGNMENT_BYTES + length
    try:
        header = json.loads(data[_ALIGNMENT_BYTES:end].decode(), object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise TensorFormatError(f"the header is not JSON: {error}") from None
    if not isinstance(header, dict):
        raise TensorFormatError("the header is not a JSON object")
    header.pop("__metadata__", None)
    if len(header) > MAX_TENSORS:
        raise TensorFormatError(f"{len(header)} tensors; at most {MAX_TENSORS} are allowed")
    return header, end


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are unique, as the layout demands: readers differ in which of two they take."""
    if len(entries := dict(pairs)) != len(pairs):
        raise ValueError("a key stands there twice")
    return entries


def _read_entry(name: str, entry: Any, body_size: int) -> tuple[TensorSpec, int, int]:
    if not NAME_PATTERN.fullmatch(name):
        raise TensorFormatError(f"tensor name {name!r} must match {NAME_PATTERN.pattern}")
    match entry:
        case {"dtype": str(code), "shape": [*shape], "data_offsets": [int(begin), int(end)]} if code in _DTYPES:
            if not all(type(size) is int for size in (*shape, begin, end)):
                raise TensorFormatError(f"tensor {name!r}: shape {shape} or offsets {[begin, end]} are not integers")
        case _:
            raise TensorFormatError(f"tensor {name!r}: its header entry is not {{dtype, shape, data_offsets}}")
    try:
        spec = TensorSpec(_DTYPES[code], tuple(shape))
    except ValueError as error:
        raise TensorFormatError(f"tensor {name!r}: {error}") from None
    if not 0 <= begin <= end <= body_size or end - begin != spec.size_bytes:
        raise TensorFormatError(
            f"tensor {name!r}: {spec} has {spec.size_bytes} bytes, but its offsets are [{begin}, {end}] of {body_size}"
        )
    return spec, begin, end


def _check_spans(spans: list[tuple[int, int]], body_size: int) -> None:
    position = 0
    for begin, end in sorted(spans):
        if begin != position:
            raise TensorFormatError(f"the tensors overlap or leave a gap at byte {min(begin, position)}")
        position = end
    if position != body_size:
        raise TensorFormatError(f"{body_size - position} bytes follow the last tensor")


def _listed(names: Any) -> str:
    listed = sorted(names)
    shown = ", ".join(listed[:5])
    return shown + (f" and {len(listed) - 5} more" if len(listed) > 5 else "")  # noqa: PLR2004 - a readable line
