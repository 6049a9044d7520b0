"""A document is what the protocol says, or is refused with the path of the first thing that is not."""

import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wire.documents import JSON_VALUES, MESSAGES, values_of
from wire import codec
from wire.errors import MessageError
from wire.messages import CheckInReply, Report
from wire.operator_messages import EnrolmentTokenRequest, RoundPolicy, TaskRequest


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Inner:
    whole: int
    real: float = 0.0


@dataclass(frozen=True)
class Outer:
    text: str = ""
    flag: bool = False
    colour: Colour = Colour.RED
    maybe: int | None = None
    inner: Inner | None = None
    items: tuple[Inner, ...] = ()
    named: dict[str, float] = field(default_factory=dict)
    anything: Any = None


REFUSED = {
    "a number for a string": ({"text": 1}, "$.text: expected a string, found 1"),
    "null for a string": ({"text": None}, "$.text: expected a string, found null"),
    "a number for a flag": ({"flag": 1}, "$.flag: expected true or false, found 1"),
    "a string for a flag": ({"flag": "yes"}, "$.flag: expected true or false, found 'yes'"),
    "another name": ({"colour": "green"}, "$.colour: expected one of 'red', 'blue', found 'green'"),
    "a list for a name": ({"colour": ["red"]}, "$.colour: expected one of 'red', 'blue', found a list"),
    "a flag for an integer": ({"maybe": True}, "$.maybe: expected an integer, found True"),
    "a real for an integer": ({"maybe": 1.0}, "$.maybe: expected an integer, found 1.0"),
    "a list for an object": ({"inner": []}, "$.inner: expected an object (Inner), found a list"),
    "nothing for a field": ({"inner": {}}, "$.inner.whole: expected a value, found nothing"),
    "an object for a list": ({"items": {}}, "$.items: expected a list, found an object"),
    "a flag for a real": ({"items": [{"whole": 1, "real": True}]}, "$.items[0].real: expected a number, found True"),
    "a wrong item": ({"items": [{"whole": 1}, 2]}, "$.items[1]: expected an object (Inner), found 2"),
    "a wrong value": ({"named": {"loss": "low"}}, "$.named.loss: expected a number, found 'low'"),
    "a list for a dictionary": ({"named": []}, "$.named: expected an object, found a list"),
    "more than a float holds": ({"named": {"loss": 10**400}}, "$.named.loss: expected a finite number, found 1000"),
}


@pytest.mark.parametrize(("document", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_of_its_type_is_refused_with_its_path(document: dict[str, Any], message: str) -> None:
    with pytest.raises(MessageError) as refused:
        codec.loads(Outer, json.dumps(document))
    assert str(refused.value).startswith(message)
    assert refused.value.path == message.split(":", maxsplit=1)[0]


@pytest.mark.parametrize("document", [b"[]", b"1", b"null", b'"text"'])
def test_a_document_is_an_object(document: bytes) -> None:
    with pytest.raises(MessageError, match=r"^\$: expected an object \(Outer\)"):
        codec.loads(Outer, document)


NOT_JSON = {
    "nothing": b"",
    "half": b'{"text": "a',
    "two": b"{}{}",
    "NaN": b'{"anything": NaN}',
    "Infinity": b'{"anything": Infinity}',
    "minus Infinity": b'{"anything": -Infinity}',
    "a number beyond floats": b'{"anything": 1e999}',
    "an integer of 5000 digits": b'{"anything": 1' + b"0" * 5000 + b"}",
    "half a surrogate pair": rb'{"text": "\ud800"}',
    "half a surrogate pair as a name": rb'{"anything": {"\uDC00": 1}}',
    "encoded surrogates": b'{"text": "\xed\xa0\x80"}',
    "no UTF-8": b'{"text": "\xff"}',
    "UTF-16": '{"text": "a"}'.encode("utf-16"),
    "a hundred thousand lists": b"[" * 100_000,
    "a hundred thousand objects": b'{"anything":' * 100_000,
}


@pytest.mark.parametrize("document", NOT_JSON.values(), ids=NOT_JSON)
def test_what_is_not_strict_json_in_utf8_is_refused(document: bytes) -> None:
    with pytest.raises(MessageError, match=r"^\$: expected a JSON document"):
        codec.loads(Outer, document)


def test_a_whole_surrogate_pair_is_a_character() -> None:
    assert codec.loads(Outer, rb'{"text": "\ud83d\ude00"}') == Outer("😀")


def test_unknown_fields_are_ignored() -> None:
    document = {"text": "a", "new": [1], "inner": {"whole": 1, "newer": {}}}
    assert codec.from_json(Outer, document) == Outer("a", inner=Inner(1))


def test_an_integer_is_a_real() -> None:
    read = codec.from_json(Inner, {"whole": 1, "real": 2})
    assert read == Inner(1, 2.0)
    assert type(read.real) is float


def test_fields_that_are_none_by_default_are_left_out() -> None:
    document = json.loads(codec.dumps(Outer(inner=Inner(1))))
    assert "maybe" not in document
    assert document["inner"] == {"real": 0.0, "whole": 1}


def test_equal_documents_have_equal_bytes() -> None:
    one = Outer(named={"a": 1.0, "b": 2.0}, text="é")
    other = Outer(text="é", named={"b": 2.0, "a": 1.0})
    assert codec.dumps(one) == codec.dumps(other)
    assert b" " not in codec.dumps(one)
    assert "é".encode() in codec.dumps(one)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_never_written(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        codec.dumps(Inner(1, value))


def test_what_has_no_json_form_is_never_written() -> None:
    with pytest.raises(TypeError, match="bytes has no JSON form"):
        codec.dumps(Outer(anything=b"raw"))


CONTRADICTIONS = {
    "both answers": (
        CheckInReply,
        {"assignment": None, "rejection": None},
        "$: expected a valid CheckInReply, found a check-in is answered by",
    ),
    "no digest": (
        Report,
        {"outcome": "completed", "update": {"resource": {"sha256": "AB", "size_bytes": 1}, "signature": ""}},
        "$.update.resource: expected a valid Resource, found sha256 'AB'",
    ),
    "a negative size": (
        Report,
        {"outcome": "completed", "update": {"resource": {"sha256": "0" * 64, "size_bytes": -1}, "signature": ""}},
        "$.update.resource: expected a valid Resource, found size_bytes is -1",
    ),
    "a goal above the cohort": (RoundPolicy, {"cohort": 2, "report_goal": 3}, "$: expected a valid RoundPolicy"),
    "a minimum above the goal": (RoundPolicy, {"report_goal": 2, "minimum_reports": 3}, "$: expected a valid Round"),
    "a minimum of none": (RoundPolicy, {"minimum_reports": 0}, "$: expected a valid RoundPolicy"),
    "no round": (RoundPolicy, {"rounds": 0}, "$: expected a valid RoundPolicy"),
    "a negative number of examples": (RoundPolicy, {"minimum_examples": -1}, "$: expected a valid RoundPolicy"),
    "no time to select": (RoundPolicy, {"selection_deadline_seconds": 0}, "$: expected a valid RoundPolicy"),
    "no time to report": (RoundPolicy, {"reporting_deadline_seconds": -1}, "$: expected a valid RoundPolicy"),
    "time beyond all floats": (RoundPolicy, {"reporting_deadline_seconds": 1.7e308}, "$: expected a valid RoundPolicy"),
    "more devices than a sum holds": (RoundPolicy, {"cohort": 1 << 63}, "$: expected a valid RoundPolicy"),
    "no name": (TaskRequest, {"name": ""}, "$: expected a valid TaskRequest"),
    "a long name": (TaskRequest, {"name": "n" * 101}, "$: expected a valid TaskRequest"),
    "a bad policy": (TaskRequest, {"name": "n", "policy": {"cohort": 0}}, "$.policy: expected a valid RoundPolicy"),
    "no uses": (EnrolmentTokenRequest, {"uses": 0}, "$: expected a valid EnrolmentTokenRequest"),
    "no lifetime": (EnrolmentTokenRequest, {"expires_in_seconds": 0}, "$: expected a valid EnrolmentTokenRequest"),
}


@pytest.mark.parametrize(("kind", "document", "message"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_a_document_that_contradicts_itself_is_refused(kind: type, document: dict[str, Any], message: str) -> None:
    with pytest.raises(MessageError) as refused:
        codec.from_json(kind, document)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: str(kind.__name__))
@settings(max_examples=25)
@given(data=st.data())
def test_every_message_survives_its_journey(kind: type[Any], data: st.DataObject) -> None:
    message = data.draw(values_of(kind))
    written = codec.dumps(message)
    read = codec.loads(kind, written)
    assert read == message
    assert codec.dumps(read) == written


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: str(kind.__name__))
@settings(max_examples=25)
@given(document=JSON_VALUES)
def test_any_json_is_a_message_or_is_refused(kind: type[Any], document: Any) -> None:
    try:
        read = codec.from_json(kind, document)
    except MessageError:
        return
    assert isinstance(read, kind)
