"""Named arrays survive their journey bit for bit, and no bytes raise anything but `TensorFormatError`."""

import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.wire.documents import JSON_VALUES
from wire import tensors
from wire.errors import TensorFormatError
from wire.tensors import DTYPES, MAX_HEADER_BYTES, MAX_TENSORS, Array, TensorSpec

ARRAYS = st.sampled_from(sorted(DTYPES)).flatmap(
    lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3))
)
TENSORS = st.dictionaries(st.from_regex(tensors.NAME_PATTERN, fullmatch=True), ARRAYS, max_size=4)
SAMPLE = {"a": np.array([1, 2], np.float32), "b": np.array(True), "c": np.zeros((0, 2), np.int64)}


def file_of(header: Any, body: bytes = b"") -> bytes:
    """A file of the layout with any header at all."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def entry(shape: Any, begin: Any, end: Any, dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@given(TENSORS)
def test_tensors_survive_their_journey_bit_for_bit(named: dict[str, Array]) -> None:
    written = tensors.encode(named)
    read = tensors.decode(written)
    assert tensors.specs_of(read) == tensors.specs_of(named)
    assert {name: array.tobytes() for name, array in read.items()} == {
        name: array.tobytes() for name, array in named.items()
    }
    assert tensors.encode(read) == written


@given(TENSORS)
def test_the_size_is_known_from_the_specs_alone(named: dict[str, Array]) -> None:
    assert tensors.encoded_size(tensors.specs_of(named)) == len(tensors.encode(named))


@given(TENSORS)
def test_equal_tensors_have_equal_bytes_however_they_are_held(named: dict[str, Array]) -> None:
    backwards = {name: np.array(named[name], order="F") for name in reversed(list(named))}
    assert tensors.encode(backwards) == tensors.encode(named)
    assert (struct.unpack_from("<Q", tensors.encode(named))[0] + 8) % 8 == 0


def test_what_is_read_is_a_view_that_nobody_changes() -> None:
    data = tensors.encode(SAMPLE)
    read = tensors.decode(data)["a"]
    assert not read.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        read[0] = 5


def test_files_of_other_writers_are_read() -> None:
    """Tensors in another order than their names, metadata, and a header that is not padded."""
    header = {"b": entry([1], 0, 4), "a": entry([], 4, 8), "__metadata__": {"format": "pt"}}
    read = tensors.decode(file_of(header, struct.pack("<ff", 1.5, 2.5)))
    assert (read["b"].tolist(), read["a"].tolist()) == ([1.5], 2.5)


FOUR, EIGHT = b"\0" * 4, b"\0" * 8
MALFORMED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "at least 8 bytes"),
    "a header that is not there": (struct.pack("<Q", 10), "says it has 10 bytes"),
    "a header of 16 exbibytes": (b"\xff" * 8, "says it has 18446744073709551615 bytes"),
    "a header above the limit": (file_of(b" " * (MAX_HEADER_BYTES + 1)), "at most"),
    "no JSON": (file_of(b"{"), "not JSON"),
    "no UTF-8": (file_of(b'{"\xff": 1}'), "not JSON"),
    "UTF-16": (file_of("{}".encode("utf-16")), "not JSON"),
    "nested too deeply": (file_of(b"[" * 100_000), "not JSON"),
    "a list": (file_of([]), "not a JSON object"),
    "a name twice": (file_of(b'{"a":%s,"a":%s}' % ((json.dumps(entry([], 0, 4)).encode(),) * 2), FOUR), "twice"),
    "too many tensors": (file_of({f"t{i}": 0 for i in range(MAX_TENSORS + 1)}), f"at most {MAX_TENSORS}"),
    "a name in capitals": (file_of({"A": entry([], 0, 4)}, FOUR), "must match"),
    "a name with a slash": (file_of({"../a": entry([], 0, 4)}, FOUR), "must match"),
    "an empty name": (file_of({"": entry([], 0, 4)}, FOUR), "must match"),
    "a long name": (file_of({"a" * 201: entry([], 0, 4)}, FOUR), "must match"),
    "no entry": (file_of({"a": None}), "header entry"),
    "an unknown dtype": (file_of({"a": entry([], 0, 2, "BF16")}, FOUR), "header entry"),
    "a dtype that is a number": (file_of({"a": entry([], 0, 4, 4)}, FOUR), "header entry"),
    "a shape that is a number": (file_of({"a": entry(1, 0, 4)}, FOUR), "header entry"),
    "one offset": (file_of({"a": {"dtype": "F32", "shape": [], "data_offsets": [0]}}, FOUR), "header entry"),
    "offsets that are text": (file_of({"a": entry([], "0", "4")}, FOUR), "header entry"),
    "offsets that are flags": (file_of({"a": entry([], False, 4)}, FOUR), "not integers"),
    "a size that is a flag": (file_of({"a": entry([True], 0, 4)}, FOUR), "not integers"),
    "a size that is a real": (file_of({"a": entry([1.0], 0, 4)}, FOUR), "not integers"),
    "a negative size": (file_of({"a": entry([-1], 0, 4)}, FOUR), "none negative"),
    "two negative sizes": (file_of({"a": entry([-1, -1], 0, 4)}, FOUR), "none negative"),
    "too many sizes": (file_of({"a": entry([1] * 9, 0, 4)}, FOUR), "at most 8 sizes"),
    "a shape beyond memory": (file_of({"a": entry([1 << 62, 4], 0, 4)}, FOUR), "more than"),
    "a shape that wraps to nothing": (file_of({"a": entry([1 << 32, 1 << 32], 0, 0)}), "more than"),
    "a size beyond integers": (file_of({"a": entry([10**30, 0], 0, 0)}), "more than"),
    "huge sizes beside a zero": (file_of({"a": entry([1 << 62, 1 << 62, 0], 0, 0)}), "more than"),
    "too few bytes": (file_of({"a": entry([2], 0, 4)}, FOUR), "has 8 bytes"),
    "too many bytes": (file_of({"a": entry([1], 0, 8)}, EIGHT), "has 4 bytes"),
    "an end beyond the file": (file_of({"a": entry([2], 0, 8)}, FOUR), "of 4"),
    "an end before the beginning": (file_of({"a": entry([], 4, 0)}, FOUR), "offsets are"),
    "a beginning before the file": (file_of({"a": entry([], -4, 0)}, FOUR), "offsets are"),
    "an overlap": (file_of({"a": entry([], 0, 4), "b": entry([], 0, 4)}, FOUR), "overlap or leave a gap at byte 0"),
    "a gap": (file_of({"a": entry([], 4, 8)}, EIGHT), "overlap or leave a gap at byte 0"),
    "a gap between": (file_of({"a": entry([], 0, 4), "b": entry([], 8, 12)}, b"\0" * 12), "a gap at byte 4"),
    "trailing bytes": (file_of({"a": entry([], 0, 4)}, EIGHT), "4 bytes follow"),
    "bytes of no tensor": (file_of({}, FOUR), "4 bytes follow"),
    "a bool of 2": (file_of({"a": entry([2], 0, 2, "BOOL")}, b"\1\2"), "a bool is a byte of 0 or 1"),
}


@pytest.mark.parametrize(("data", "message"), MALFORMED.values(), ids=MALFORMED)
def test_bytes_that_are_not_the_layout_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(TensorFormatError, match=message):
        tensors.decode(data)


def test_a_file_cut_anywhere_is_refused() -> None:
    whole = tensors.encode(SAMPLE)
    for length in range(len(whole)):
        with pytest.raises(TensorFormatError):
            tensors.decode(whole[:length])


@given(st.integers(0, len(tensors.encode(SAMPLE)) - 1), st.integers(0, 255))
def test_a_file_with_a_changed_byte_is_read_or_refused(position: int, value: int) -> None:
    changed = bytearray(tensors.encode(SAMPLE))
    changed[position] = value
    try:
        read = tensors.decode(bytes(changed))
    except TensorFormatError:
        return
    assert sum(array.nbytes for array in read.values()) == sum(array.nbytes for array in SAMPLE.values())


@settings(max_examples=200)
@given(
    st.dictionaries(
        st.sampled_from(["a", "b", "__metadata__"]),
        st.fixed_dictionaries(
            {
                "dtype": st.sampled_from(["F32", "U8", "BOOL", "X"]) | JSON_VALUES,
                "shape": st.lists(st.integers(-1, 1 << 64) | st.integers(0, 2), max_size=10) | JSON_VALUES,
                "data_offsets": st.lists(st.integers(-1, 9), min_size=2, max_size=2) | JSON_VALUES,
            }
        )
        | JSON_VALUES,
    ),
    st.binary(max_size=8),
)
def test_any_header_is_read_or_refused(header: dict[str, Any], body: bytes) -> None:
    try:
        read = tensors.decode(file_of(header, body))
    except TensorFormatError:
        return
    assert sum(array.nbytes for array in read.values()) == len(body)


@pytest.mark.parametrize("name", ["A", "a/b", "", "a b", "é", "a" * 201])
def test_a_name_that_the_layout_does_not_take_is_not_written(name: str) -> None:
    with pytest.raises(TensorFormatError, match="must match"):
        tensors.encode({name: np.zeros(1, np.float32)})


@pytest.mark.parametrize("dtype", ["complex64", "U3", ">f4", "O"])
def test_a_dtype_that_the_layout_does_not_take_is_not_written(dtype: str) -> None:
    with pytest.raises(TensorFormatError, match="dtype"):
        tensors.encode({"a": np.zeros(1, dtype)})


def test_a_spec_is_written_in_the_notation_of_the_language() -> None:
    assert str(TensorSpec("float32", (3, 4))) == "float32[3,4]"
    assert str(TensorSpec("int64", ())) == "int64"
    assert TensorSpec("float16", (3, 4)).size_bytes == 24


SPECS = {"w": TensorSpec("float32", (2,)), "b": TensorSpec("float32", ())}
GOOD = {"w": np.zeros(2, np.float32), "b": np.zeros((), np.float32)}
OTHERS: dict[str, tuple[dict[str, Array], str]] = {
    "a missing tensor": ({"w": GOOD["w"]}, "missing b"),
    "an unknown tensor": (GOOD | {"c": GOOD["b"]}, "unknown c"),
    "another dtype": (GOOD | {"w": np.zeros(2)}, r"'w': expected float32\[2\], found float64\[2\]"),
    "another shape": (GOOD | {"b": np.zeros(1, np.float32)}, r"'b': expected float32, found float32\[1\]"),
}


def test_tensors_of_the_expected_specs_are_read() -> None:
    assert tensors.decode_as(SPECS, tensors.encode(GOOD)).keys() == GOOD.keys()


@pytest.mark.parametrize(("named", "message"), OTHERS.values(), ids=OTHERS)
def test_tensors_of_other_specs_are_refused(named: dict[str, Array], message: str) -> None:
    with pytest.raises(TensorFormatError, match=message):
        tensors.decode_as(SPECS, tensors.encode(named))
