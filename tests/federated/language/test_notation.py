"""Compact notation, read back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federated.language.errors import NotationError
from federated.language.notation import parse
from federated.language.types import StructType, Type
from tests.federated.language.strategies import types, written_without_containers


@given(types)
def test_what_is_printed_is_read_back(type_: Type) -> None:
    plain = written_without_containers(type_)
    assert parse(type_.compact_representation()) == plain
    assert parse(type_.formatted_representation()) == plain


@pytest.mark.parametrize(
    "text",
    [
        "(<readings={float32}@CLIENTS,threshold=float32@SERVER> -> float32@SERVER)",
        "({<x=float32[?,784],y=int32>*}@CLIENTS -> <>@SERVER)",
        "( -> ((int32 -> bool) -> 'str'(shape=None)))",
    ],
)
def test_a_program_of_the_documents_is_read(text: str) -> None:
    assert str(parse(text)) == text


def test_blanks_mean_nothing() -> None:
    assert parse(" < a = int32 [ 2 , ? ] * ,\n { str } @ CLIENTS > ") == parse("<a=int32[2,?]*,{str}@CLIENTS>")


def test_a_name_that_would_not_be_read_is_quoted() -> None:
    type_ = StructType([("two words", np.int32), ("a=b", np.int32), ("loss/train", np.int32), ("", np.int32)])
    assert str(type_) == '<"two words"=int32,"a=b"=int32,loss/train=int32,""=int32>'
    assert parse(str(type_)) == type_


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ("", "expected a type, found the end of the text", 1),
        ("<a=int32,,b=float32>", "expected a type, found ','", 10),
        ("<a=int33>", "'int33' is not one of the dtypes", 4),
        ("{int32}@PHONES", "expected CLIENTS or SERVER, found 'P'", 9),
        ("{int32}", "expected '@', found the end of the text", 8),
        ("int32[2,x]", "expected a size or '?', found 'x'", 9),
        ("int32[]", "expected a size or '?', found ']'", 7),
        ("<int32", "expected ',' or '>', found the end of the text", 7),
        ("int32 int32", "expected the end, found 'i'", 7),
        ("(int32)", "expected '->', found ')'", 7),
        ("<a=int32,a=int32>", "two elements have the name 'a'", 1),
        ("<b={int32@SERVER}@CLIENTS>", "a FederatedType can't hold a FederatedType", 4),
        ('<"a=int32>', "expected a quoted name", 2),
        ("'float32'(shape=3)", "expected a type", 1),
        ("'float3'(shape=None)", "'float3' is not one of the dtypes", 2),
        ("<" * 200, "more than 100 deep", 102),
    ],
)
def test_a_mistake_is_shown_with_a_caret_under_it(text: str, message: str, column: int) -> None:
    with pytest.raises(NotationError) as caught:
        parse(text)
    first, line, caret = str(caught.value).split("\n")
    assert message in first
    assert caret.endswith(f"^ column {column}")
    assert caught.value.column == column
    place = caret.index("^")
    assert line[place : place + 1] == text[column - 1 : column]


def test_the_line_of_the_mistake_is_shown_where_there_are_many() -> None:
    with pytest.raises(NotationError) as caught:
        parse("<\n  a=int32,\n  b=nothing\n>")
    assert str(caught.value).split("\n")[1:] == ["    b=nothing", "      ^ column 5"]


@given(st.text(alphabet="<>(){}[]@*,=-? ab\"'int32CLIENTS", max_size=30))
def test_any_text_is_a_type_or_a_notation_error(text: str) -> None:
    try:
        type_ = parse(text)
    except NotationError:
        return
    assert parse(str(type_)) == type_
