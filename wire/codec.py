"""Frozen dataclasses to JSON documents and back.

One rule: what comes from outside is checked here, once. A field that is missing or of the wrong type is refused with
its path; a field that is unknown is ignored, so that an older reader understands a newer writer.

Types understood: str, int, float, bool, None, `X | None`, `tuple[X, ...]`, `dict[str, X]`, `StrEnum`, dataclasses and
`Any` (a JSON value, taken as it is). A float must be finite; an int is never a bool.
"""

import dataclasses
import json
import math
import types
import typing
from collections.abc import Callable
from enum import Enum
from functools import cache
from typing import Any, TypeVar

from wire.errors import MessageError

T = TypeVar("T")

# Where a value stands: a text, or a place and the step from there; made into text only for an error.
_Path = str | tuple["_Path", str]
_Reader = Callable[[Any, _Path], Any]

_SHOWN = 42  # characters of a wrong value: enough to recognise it, few enough for a log line


def to_json(value: object) -> Any:
    """The JSON value of a dataclass; fields that are None and default to None are left out."""
    match value:
        case Enum():
            return value.value
        case None | bool() | int() | float() | str():
            return value
        case dict():
            return {key: to_json(item) for key, item in value.items()}
        case list() | tuple():
            return [to_json(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        pairs = ((field, getattr(value, field.name)) for field in _fields(type(value)))
        return {field.name: to_json(item) for field, item in pairs if not (item is None and field.default is None)}
    raise TypeError(f"{type(value).__name__} has no JSON form; use a dataclass of JSON values")


def dumps(value: object) -> bytes:
    """The canonical bytes of a document: UTF-8, sorted keys, no spaces. Equal documents have equal bytes."""
    return json.dumps(
        to_json(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def loads(kind: type[T], data: bytes | str) -> T:
    """The dataclass that a JSON document holds.

    Raises:
        MessageError: the bytes are not JSON, or the document is not a `kind`.
    """
    return from_json(kind, parse(data))


def parse(data: bytes | str) -> Any:
    """The JSON value of some bytes, refused with a `MessageError` where they are not strict JSON in UTF-8."""
    try:
        return _strict((data.encode() if isinstance(data, str) else data).decode())
    except RecursionError:
        raise MessageError("$", "a JSON document", "one that is nested too deeply") from None
    except ValueError as error:
        raise MessageError("$", "a JSON document", f"{len(data)} bytes that are not ({error})") from None


def from_json(kind: type[T], value: Any, path: str = "$") -> T:
    """The `kind` that a JSON value holds; see `loads`."""
    return typing.cast("T", _reader(typing.cast("Any", kind))(value, path))


def _strict(text: str) -> Any:
    value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    if "\\u" in text:
        # An escape may stand for half a surrogate pair, which no UTF-8 holds: an answer could not repeat it.
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is larger than any float")
    return value


@cache
def _reader(kind: Any) -> _Reader:  # noqa: PLR0911 - one line a kind of type
    """What reads values of a type; made once, for it is asked for with every field of every message."""
    if kind is Any:
        return lambda value, _: value
    origin = typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        return _optional_reader(kind)
    if origin is tuple:
        return _tuple_reader(typing.get_args(kind)[0])
    if origin is dict:
        return _dict_reader(typing.get_args(kind)[1])
    if dataclasses.is_dataclass(kind):
        return _dataclass_reader(typing.cast("type", kind))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return lambda value, path: _read_enum(kind, value, path)
    return lambda value, path: _read_scalar(kind, value, path)


def _optional_reader(kind: Any) -> _Reader:
    alternatives = [item for item in typing.get_args(kind) if item is not type(None)]
    if len(alternatives) != 1:
        raise TypeError(f"{kind} is not a type of the protocol; only `X | None` is")
    read = _reader(alternatives[0])
    return lambda value, path: None if value is None else read(value, path)


def _tuple_reader(item_kind: Any) -> _Reader:
    read_item = _reader(item_kind)

    def read(value: Any, path: _Path) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise MessageError(_text(path), "a list", _describe(value))
        return tuple([read_item(item, (path, f"[{index}]")) for index, item in enumerate(value)])

    return read


def _dict_reader(item_kind: Any) -> _Reader:
    read_item = _reader(item_kind)

    def read(value: Any, path: _Path) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise MessageError(_text(path), "an object", _describe(value))
        return {key: read_item(item, (path, f".{key}")) for key, item in value.items()}

    return read


def _dataclass_reader(kind: type) -> _Reader:
    hints = typing.get_type_hints(kind)
    fields = [(field.name, f".{field.name}", hints[field.name], _has_default(field)) for field in _fields(kind)]

    def read(value: Any, path: _Path) -> Any:
        if not isinstance(value, dict):
            raise MessageError(_text(path), f"an object ({kind.__name__})", _describe(value))
        found = {}
        for name, step, hint, has_default in fields:
            if name in value:
                found[name] = _reader(hint)(value[name], (path, step))
            elif not has_default:
                raise MessageError(_text((path, step)), "a value", "nothing")
        try:
            return kind(**found)
        except ValueError as error:
            raise MessageError(_text(path), f"a valid {kind.__name__}", str(error)) from None

    return read


def _has_default(field: dataclasses.Field[Any]) -> bool:
    return not (field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING)


@cache
def _fields(kind: type) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(kind)


def _text(path: _Path) -> str:
    """A path as errors show it."""
    steps = []
    while not isinstance(path, str):
        path, step = path
        steps.append(step)
    return path + "".join(reversed(steps))


def _read_enum(kind: type[Enum], value: Any, path: _Path) -> Enum:
    try:
        return kind(value)
    except ValueError:
        allowed = ", ".join(repr(member.value) for member in kind)
        raise MessageError(_text(path), f"one of {allowed}", _describe(value)) from None


def _read_scalar(kind: Any, value: Any, path: _Path) -> Any:
    if kind is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return _read_float(value, path)
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    raise MessageError(_text(path), _NAMES[kind], _describe(value))


def _read_float(value: float, path: _Path) -> float:
    try:
        number = float(value)
    except OverflowError:  # an integer of more than 308 digits
        number = math.inf
    if not math.isfinite(number):
        raise MessageError(_text(path), "a finite number", _describe(value))
    return number


_NAMES = {str: "a string", int: "an integer", float: "a number", bool: "true or false"}


def _describe(value: Any) -> str:
    match value:
        case None:
            return "null"
        case dict():
            return "an object"
        case list():
            return "a list"
        case _:
            shown = repr(value)
            return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
