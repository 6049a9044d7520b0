"""Python values as arrays: what a tensor type takes, exactly."""

import time
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federated.language.arrays import to_array, to_arrays
from federated.language.errors import ValueMismatchError
from federated.language.types import TensorType, to_type
from tests.federated.language.strategies import dtypes


class Eager:
    """What an eager tensor looks like from outside."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def numpy(self) -> Any:
        return self._value


class Symbolic:
    """A tensor that has no value."""

    def numpy(self) -> Any:
        raise NotImplementedError("numpy() is only available when eager execution is enabled")


TAKEN: list[tuple[Any, Any, Any]] = [
    (np.int32, 5, np.int32(5)),
    (np.int32, np.int64(5), np.int32(5)),
    (np.uint8, np.int8(5), np.uint8(5)),
    (np.int8, -128, np.int8(-128)),
    (np.uint64, 2**64 - 1, np.uint64(2**64 - 1)),
    (np.float32, 1, np.float32(1)),
    (np.float32, 0.1, np.float32(0.1)),
    (np.float32, np.float64(0.1), np.float32(0.1)),
    (np.float64, 2**70, np.float64(2**70)),
    (np.float32, float("inf"), np.float32("inf")),
    (np.complex64, 1 + 2j, np.complex64(1 + 2j)),
    (np.bool_, True, np.bool_(True)),
    (np.str_, "grüß", np.str_("grüß")),
    (np.str_, "grüß".encode(), np.str_("grüß")),
    ((np.float32, [None]), [1, 2.5], np.array([1, 2.5], np.float32)),
    ((np.float32, [2, 1]), ((1,), (2,)), np.array([[1], [2]], np.float32)),
    ((np.int32, None), [[1]], np.array([[1]], np.int32)),
    ((np.int32, [None]), [], np.array([], np.int32)),
    ((np.bool_, [2]), [True, np.False_], np.array([True, False])),
    ((np.str_, [2]), ["a", b"bc"], np.array(["a", "bc"])),
    ((np.float32, [2]), np.array([1, 2], ">f8"), np.array([1, 2], np.float32)),
    ((np.float32, [2]), [np.float32(1), np.float32(2)], np.array([1, 2], np.float32)),
    (np.int32, Eager(np.int32(7)), np.int32(7)),
    (np.str_, Eager(b"a"), np.str_("a")),
]


@pytest.mark.parametrize(("spec", "value", "array"), TAKEN, ids=[f"{row[0]}-{row[1]!r}"[:50] for row in TAKEN])
def test_a_value_is_taken(spec: Any, value: Any, array: Any) -> None:
    found = to_array(tensor(spec), value, "$")
    assert found.dtype == np.asarray(array).dtype
    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(found, array, strict=True)


REFUSED: list[tuple[Any, Any, str]] = [
    (np.int32, 2**31, "expected int32, found 2147483648, but int32 holds -2147483648 to 2147483647"),
    (np.int32, np.int64(2**40), "but int32 holds"),
    (np.int64, 2**63, "but int64 holds"),
    (np.uint64, 2**64, "but uint64 holds"),
    (np.uint8, -1, "found -1, but uint8 holds 0 to 255"),
    ((np.int8, [2]), [1, 200], "found 200"),
    (np.int32, 1.0, "expected int32, found the float 1.0"),
    (np.int32, True, "expected int32, found the bool True"),
    (np.float32, False, "expected float32, found the bool False"),
    (np.bool_, 1, "expected bool, found the int 1"),
    (np.float32, 1e300, "found 1e\\+300, which is too large for float32"),
    (np.float16, 70000, "found 70000, which is too large for float16"),
    (np.float64, 10**400, "too large for float64"),
    (np.float32, 1j, "found the complex 1j"),
    (np.float32, "1", "expected float32, found the str '1'"),
    (np.float32, None, "found the NoneType None"),
    (np.float32, {}, "found the dict"),
    (np.float32, np.datetime64("2020-01-01"), "found the date"),
    (np.str_, 3, "expected str, found the int 3"),
    (np.str_, b"\xff", "bytes that are not UTF-8"),
    (np.str_, "a\0", "ends in NUL"),
    ((np.float32, [2]), [1, 2, 3], r"expected float32\[2\], found the shape \[3\]"),
    ((np.float32, [None]), 1.0, r"found the shape \[\]"),
    (np.float32, [1.0], r"found the shape \[1\]"),
    ((np.float32, [None, None]), [[1], [2, 3]], "found lists of different lengths"),
    ((np.int32, [2]), [1, True], "found bools among numbers"),
    ((np.float32, [1, 2]), [[0.5, True]], "found bools among numbers"),
    ((np.int32, [2]), np.array([1.5, 2.0]), "found floats, such as 1.5"),
    ((np.float32, [2]), [1.0, None], "found objects, such as the NoneType None"),
    ((np.str_, [2]), [["a"], ["b", "c"]], "found the list"),
    (np.int32, Symbolic(), "found a Symbolic that has no value"),
]


@pytest.mark.parametrize(("spec", "value", "message"), REFUSED, ids=[f"{row[0]}-{row[1]!r}"[:50] for row in REFUSED])
def test_a_value_is_refused_with_its_place_and_the_reason(spec: Any, value: Any, message: str) -> None:
    with pytest.raises(ValueMismatchError, match=message) as caught:
        to_array(tensor(spec), value, "the argument 'x'")
    assert str(caught.value).startswith(f"the argument 'x': expected {to_type(spec)}, found ")


numbers = (
    st.integers(-(2**70), 2**70)
    | st.integers(-300, 300)
    | st.floats()
    | st.booleans()
    | st.text(max_size=2)
    | st.integers(0, 100).map(np.int16)
    | st.floats(width=32).map(np.float32)
)
alike = st.one_of(
    st.lists(st.integers(-200, 200)),
    st.lists(st.integers(-(2**64), 2**64)),
    st.lists(st.floats() | st.integers(-(2**60), 2**60)),
    st.lists(st.booleans()),
    st.lists(st.text(max_size=3)),
    st.lists(numbers, max_size=3),
)


@given(dtypes, alike)
def test_many_at_once_are_what_they_are_one_by_one(dtype: np.dtype[Any], values: list[Any]) -> None:
    type_ = TensorType(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fast = to_arrays(type_, values)
        if fast is None:
            return
        slow = [to_array(type_, value, "$") for value in values]
    assert fast.shape == (len(values),)
    assert fast.dtype.kind == type_.dtype.kind
    for one, other in zip(fast, slow, strict=True):
        np.testing.assert_array_equal(one, other[()])


@pytest.mark.parametrize(
    ("spec", "values"),
    [
        (np.float32, [1.5] * 10_000),
        (np.float32, [1, 2.5] * 5_000),
        (np.int32, list(range(10_000))),
        (np.bool_, [True, False] * 5_000),
        (np.float32, [np.float32(1)] * 10_000),
        (np.str_, ["abc"] * 10_000),
        (np.int32, []),
        (np.float32, np.arange(10_000, dtype=np.float32)),
    ],
)
def test_ten_thousand_plain_scalars_take_milliseconds(spec: Any, values: list[Any]) -> None:
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        array = to_arrays(tensor(spec), values)
        best = min(best, time.perf_counter() - start)
    assert array is not None
    assert array.shape == (len(values),)
    assert best < 0.02


@pytest.mark.parametrize(
    ("spec", "values"),
    [
        (np.int32, [1, 2.5]),
        (np.int32, [2**31]),
        (np.int32, [True, 2]),
        (np.float32, [1.0, None]),
        (np.float32, ["1"]),
        ((np.float32, [1]), [[1.0]]),
        (np.str_, ["a\0"]),
        (np.float32, [2**53 + 1, 0.5]),
    ],
)
def test_what_needs_a_closer_look_is_left_to_it(spec: Any, values: list[Any]) -> None:
    assert to_arrays(tensor(spec), values) is None


@pytest.mark.tensorflow
def test_eager_tensors_are_taken_and_symbolic_ones_refused() -> None:
    tf = pytest.importorskip("tensorflow")
    assert to_array(TensorType(np.float32, [2]), tf.constant([1.0, 2.0]), "$").tolist() == [1.0, 2.0]
    assert to_array(TensorType(np.int32), tf.Variable(3), "$").item() == 3
    assert to_array(TensorType(np.str_, [2]), tf.constant(["a", "b"]), "$").tolist() == ["a", "b"]

    @tf.function  # type: ignore[untyped-decorator]
    def traced(x: Any) -> Any:
        with pytest.raises(ValueMismatchError, match="has no value"):
            to_array(TensorType(np.float32), x, "$")
        return x

    traced(tf.constant(1.0))


def tensor(spec: Any) -> TensorType:
    """The tensor type of a spec."""
    type_ = to_type(spec)
    assert isinstance(type_, TensorType)
    return type_
