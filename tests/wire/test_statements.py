"""What is signed for one purpose says nothing for another."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.documents import values_of
from wire import statements
from wire.errors import MessageError
from wire.messages import PlanStatement

LINES = st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=30)
STATEMENTS = st.one_of(
    st.tuples(st.just("enrolment"), LINES, LINES),
    st.tuples(st.just("session"), LINES, LINES),
    st.tuples(st.just("update"), LINES, st.integers(1, 1000), LINES),
    st.tuples(st.just("plan"), values_of(PlanStatement)),
)


def statement_of(parts: tuple[object, ...]) -> bytes:
    purpose, *arguments = parts
    made: bytes = getattr(statements, str(purpose))(*arguments)
    return made


@given(STATEMENTS, STATEMENTS)
def test_two_statements_have_equal_bytes_only_if_they_say_the_same(
    one: tuple[object, ...], other: tuple[object, ...]
) -> None:
    assert (statement_of(one) == statement_of(other)) == (one == other)


@given(st.text(), st.text(), st.text(), st.text())
def test_no_text_makes_a_statement_of_another_purpose(a: str, b: str, c: str, d: str) -> None:
    made = (statements.enrolment(a, b), statements.session(a, b), statements.update(c, 1, d))
    assert len({statement.split(b"\n")[0] for statement in made}) == 3


@given(st.binary())
def test_base64_gives_back_what_it_took(data: bytes) -> None:
    assert statements.from_base64(statements.to_base64(data), "$.key") == data


@pytest.mark.parametrize(
    "text", ["a", "****", "AAA", "é", "AAAA\n", "AA AA", "-_-_", base64.b64encode(b"ab").decode()[:-1]]
)
def test_what_is_not_base64_is_refused_with_its_path(text: str) -> None:
    with pytest.raises(MessageError) as refused:
        statements.from_base64(text, "$.signature")
    assert refused.value.path == "$.signature"
