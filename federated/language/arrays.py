"""Python values as the numpy arrays of a tensor type, exactly.

    type        takes                                      refuses
    bool        bools                                      numbers
    integers    integers of any width that fit             bools, floats, what would overflow
    floats      integers, floats of any width (rounded)    bools, finite values that would become infinite
    complex     integers, floats, complex numbers          bools
    str         strings, and bytes in UTF-8                numbers

Each may be a Python value, numpy's, a list of such, or anything that has `.numpy()`, such as an eager tensor. This is
what TensorFlow Federated takes, save that it wraps integers that overflow, and takes bools for numbers.
"""

import reprlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from federated.language.conversion import DType
from federated.language.errors import ValueMismatchError
from federated.language.types import TensorType

Array = NDArray[Any]

# Which kinds of dtypes may become which, by numpy's letters.
_TAKES = {"b": "b", "i": "iu", "u": "iu", "f": "iuf", "c": "iufc"}
_MAX_EXACT = 2**53
"""Up to here every integer is a float64."""

_KINDS = {"b": "bools", "i": "integers", "u": "integers", "f": "floats", "c": "complex numbers", "U": "strings"}


def to_array(type_: TensorType, value: object, where: str) -> Array:
    """The array of the type's dtype that `value` is; it may share the value's memory.

    Args:
        type_: what is needed; sizes of None take any.
        value: see the module.
        where: what the value is, for the message: `$.a[1]`, `the argument 'threshold'`.

    Raises:
        ValueMismatchError: the value has another shape, or can't be of the dtype.
    """
    if isinstance(value, np.ndarray) and value.dtype == type_.dtype and value.shape == type_.shape:
        return value
    try:
        array = _strings(value) if type_.dtype.kind == "U" else _numbers(value, type_.dtype)
    except ValueMismatchError as error:
        raise ValueMismatchError(f"{where}: expected {type_}, {error.message}") from None
    if array.shape != type_.shape and not type_.is_assignable_from(TensorType(type_.dtype, array.shape)):
        raise ValueMismatchError(f"{where}: expected {type_}, found the shape {list(array.shape)}")
    return array


def to_arrays(type_: TensorType, values: Sequence[Any]) -> Array | None:
    """Many scalars at once, as one array with a row for each: 10,000 numbers in a few milliseconds.

    None says that they have to go through `to_array` one by one: the type has a shape, the values are not all plain
    numbers, bools or strings, or one of them is refused, and `to_array` will say which.
    """
    if type_.shape != ():
        return None
    if len(values) == 0:
        return np.empty(0, type_.dtype)
    classes = set(map(type, values))
    if classes == {str}:
        is_exact = type_.dtype.kind == "U" and not any(value.endswith("\0") for value in values)
        return np.array(values, dtype=np.str_) if is_exact else None
    is_plain = classes <= {int, float} or (len(classes) == 1 and issubclass(next(iter(classes)), bool | np.generic))
    if not is_plain or type_.dtype.kind == "U":
        return None
    array = np.array(values)
    if float in classes:
        # The integers among them become float64 on the way, which to_array does not do.
        is_exact = len(classes) == 1 or all(abs(value) <= _MAX_EXACT for value in values if type(value) is int)
    else:
        is_exact = classes != {int} or array.dtype.kind in "iu"
    try:
        return _cast(array, type_.dtype) if is_exact else None
    except ValueMismatchError:
        return None


def _numbers(value: object, dtype: DType) -> Array:
    value = _concrete(value)
    array = _array(value)
    if isinstance(value, list | tuple):
        if array.size == 0:
            return array.astype(dtype)  # an empty list has no dtype of its own
        if array.dtype.kind != "b" and _holds_bool(value):
            raise ValueMismatchError("found bools among numbers")
    return _cast(array, dtype)


def _cast(array: Array, dtype: DType) -> Array:
    """`array` as the dtype, no value changed but by rounding."""
    if array.dtype == object and array.size and all(type(element) is int for element in array.flat):
        array = _huge_integers(array, dtype)
    if array.dtype.kind not in _TAKES[dtype.kind]:
        raise ValueMismatchError(f"found {_described(array)}")
    if dtype.kind in "iu":
        _check_range(array, dtype)
    if dtype.kind not in "fc" or np.can_cast(array.dtype, dtype):
        return array.astype(dtype, copy=False)
    with np.errstate(over="ignore"):
        cast = array.astype(dtype)
    infinite = np.isinf(cast)
    if infinite.any() and (overflown := infinite & np.isfinite(array)).any():
        raise ValueMismatchError(f"found {array[overflown][0]}, which is too large for {dtype.name}")
    return cast


def _huge_integers(array: Array, dtype: DType) -> Array:
    """Integers beyond 64 bits, which numpy keeps as objects: they may still be floats."""
    if dtype.kind in "iu":
        _check_range(array, dtype)
    try:
        return array.astype(np.float64)
    except OverflowError:
        raise ValueMismatchError(f"found an integer that is too large for {dtype.name}") from None


def _check_range(array: Array, dtype: DType) -> None:
    if array.size == 0 or np.can_cast(array.dtype, dtype):
        return
    limits = np.iinfo(dtype)
    for extreme in (int(array.min()), int(array.max())):
        if not limits.min <= extreme <= limits.max:
            raise ValueMismatchError(f"found {extreme}, but {dtype.name} holds {limits.min} to {limits.max}")


def _strings(value: object) -> Array:
    array = _array(_concrete(value), np.dtype(object))
    texts = [_text(element) for element in array.flat]
    return np.array(texts, dtype=np.str_).reshape(array.shape)


def _text(value: object) -> str:
    match value:
        case str():
            text = str(value)
        case bytes():
            try:
                text = value.decode()
            except UnicodeDecodeError as error:
                raise ValueMismatchError(f"found bytes that are not UTF-8: {error.reason}") from None
        case _:
            raise ValueMismatchError(f"found {_shown(value)}")
    if text.endswith("\0"):
        raise ValueMismatchError("found a string that ends in NUL, which numpy would cut off")
    return text


def _concrete(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic) or not callable(getattr(value, "numpy", None)):
        return value
    try:
        return value.numpy()
    except Exception as error:
        raise ValueMismatchError(f"found a {type(value).__name__} that has no value: {error}") from error


def _array(value: Any, dtype: DType | None = None) -> Array:
    try:
        return np.asarray(value, dtype)
    except Exception as error:
        if isinstance(value, list | tuple) and isinstance(error, ValueError):
            raise ValueMismatchError("found lists of different lengths") from None
        raise ValueMismatchError(f"found a {type(value).__name__} that has no value: {error}") from error


def _holds_bool(value: list[Any] | tuple[Any, ...]) -> bool:
    return any(
        isinstance(element, bool | np.bool_) or (isinstance(element, list | tuple) and _holds_bool(element))
        for element in value
    )


def _described(array: Array) -> str:
    if array.ndim == 0:
        return _shown(array.item())
    if array.dtype == object:
        odd = next((element for element in array.flat if type(element) not in (int, float)), None)
        return f"objects, such as {_shown(odd)}"
    kind = _KINDS.get(array.dtype.kind, f"values of dtype {array.dtype}")
    return f"{kind}, such as {array.item(0)!r}" if array.size else kind


def _shown(value: object) -> str:
    return f"the {type(value).__name__} {reprlib.repr(value)}"
