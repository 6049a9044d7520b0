"""Resources, unknown paths, bodies that are too large or no JSON: what HTTP itself brings along."""

import logging
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.exceptions import HTTPException

from orchestrator.api.resources import requested_span
from plans import bundle
from tests.golden.make_plans import LINEAR
from tests.orchestrator.http import Answer
from tests.orchestrator.serving import Orchestrator, Population
from wire import routes
from wire.errors import ErrorCode

DATA = LINEAR.read_bytes()
DIGEST = bundle.digest(DATA)


def get(orchestrator: Orchestrator, path: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return orchestrator.connections.call("GET", orchestrator.url + path, token=orchestrator.api_key, headers=named)


@pytest.fixture
def plan(population: Population) -> Orchestrator:
    """An orchestrator that keeps the golden plan."""
    population.push()
    return population.orchestrator


def test_a_resource_is_named_by_its_content_and_good_for_ever(plan: Orchestrator) -> None:
    answer = get(plan, routes.resource(DIGEST))
    assert (answer.status, answer.body) == (200, DATA)
    assert answer.headers["ETag"] == f'"{DIGEST}"'
    assert answer.headers["Content-Type"] == routes.OCTETS
    assert answer.headers["Content-Length"] == str(len(DATA))
    assert "immutable" in answer.headers["Cache-Control"]
    assert "private" in answer.headers["Cache-Control"]


def test_a_resource_that_is_known_is_not_sent_again(plan: Orchestrator) -> None:
    answer = get(plan, routes.resource(DIGEST), If_None_Match=f'"other", "{DIGEST}"')
    assert (answer.status, answer.body) == (304, b"")
    assert answer.headers["ETag"] == f'"{DIGEST}"'
    for known in ("*", f'W/"{DIGEST}"'):
        assert get(plan, routes.resource(DIGEST), If_None_Match=known).status == 304
    for other in ('"other"', DIGEST):
        assert get(plan, routes.resource(DIGEST), If_None_Match=other).status == 200
    assert get(plan, routes.resource("0" * 64), If_None_Match="*").status == 404


def test_a_device_that_hangs_up_after_the_last_byte_troubles_nobody(
    plan: Orchestrator, caplog: pytest.LogCaptureFixture
) -> None:
    path = routes.resource(DIGEST)
    request = f"GET {path} HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {plan.api_key}\r\n\r\n".encode()
    host, port = urlsplit(plan.url).netloc.split(":")
    for _ in range(200):
        with socket.create_connection((host, int(port)), timeout=10) as connection, connection.makefile("rb") as answer:
            connection.sendall(request)
            while answer.readline().strip():
                pass
            assert answer.read(len(DATA)) == DATA
    assert get(plan, path).status == 200
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize(
    ("asked", "span"),
    [("bytes=100-199", slice(100, 200)), ("bytes=29000-", slice(29000, None)), ("bytes=-10", slice(-10, None))],
)
def test_a_part_of_a_resource_may_be_asked_for(plan: Orchestrator, asked: str, span: slice) -> None:
    answer = get(plan, routes.resource(DIGEST), Range=asked, If_Range=f'"{DIGEST}"')
    assert (answer.status, answer.body) == (206, DATA[span])
    start = span.indices(len(DATA))[0]
    assert answer.headers["Content-Range"].startswith(f"bytes {start}-")


def test_a_part_of_another_version_is_the_whole(plan: Orchestrator) -> None:
    answer = get(plan, routes.resource(DIGEST), Range="bytes=100-199", If_Range='"other"')
    assert (answer.status, answer.body) == (200, DATA)


def test_a_part_beyond_the_end_is_refused(plan: Orchestrator) -> None:
    for asked in (f"bytes={len(DATA)}-", "bytes=999999999999-", "bytes=-0"):
        answer = get(plan, routes.resource(DIGEST), Range=asked)
        assert (answer.problem.status, answer.problem.code) == (416, ErrorCode.INVALID_REQUEST)
        assert answer.headers["Content-Range"] == f"bytes */{len(DATA)}"


@pytest.mark.parametrize(
    "asked", ["bytes=", "bytes=-", "bytes=a-b", "bytes=9-3", "items=0-1", "bytes=0-1,5-6", "bytes=" + "9" * 5000 + "-"]
)
def test_what_is_no_span_of_bytes_gets_the_whole(plan: Orchestrator, asked: str) -> None:
    answer = get(plan, routes.resource(DIGEST), Range=asked)
    assert (answer.status, answer.body) == (200, DATA)
    assert answer.headers["Accept-Ranges"] == "bytes"


@settings(max_examples=300)
@given(first=st.integers(0, 40) | st.none(), last=st.integers(0, 40) | st.none(), size=st.integers(0, 30))
def test_a_span_is_what_the_standard_says(first: int | None, last: int | None, size: int) -> None:
    header = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    data = bytes(range(size))
    match (first, last):
        case (None, None):
            expected: bytes | None = None
        case (None, int(suffix)):
            expected = data[-suffix:] if suffix else b""
        case (int(start), None):
            expected = data[start:]
        case (int(start), int(end)):
            expected = data[start : end + 1] if start <= end else None
    if expected == b"":
        with pytest.raises(HTTPException, match="has none of them"):
            requested_span(header, size)
        return
    span = requested_span(header, size)
    assert expected == (None if span is None else data[slice(*span)])


@pytest.mark.parametrize(
    "name", ["0" * 64, DIGEST.upper(), DIGEST[:-1], "..%2F..%2Ffedelta.db", "%2e%2e", "a%00b", "%FF%FE"]
)
def test_a_resource_that_is_not_there_is_not_found(plan: Orchestrator, name: str) -> None:
    assert get(plan, routes.resource(name)).problem.code == ErrorCode.NOT_FOUND


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/nothing", "/v2/tasks", "/v1/tasks/a/b/c", "/v1/resources/", "/%00"])
def test_an_unknown_path_is_a_problem_document(orchestrator: Orchestrator, path: str) -> None:
    problem = get(orchestrator, path).problem
    assert (problem.status, problem.code, problem.title) == (404, ErrorCode.NOT_FOUND, "Not Found")


def test_another_method_is_a_problem_document_that_says_which_are_allowed(orchestrator: Orchestrator) -> None:
    answer = orchestrator.connections.call("DELETE", orchestrator.url + routes.CHECK_INS)
    assert (answer.problem.status, answer.problem.code) == (405, ErrorCode.INVALID_REQUEST)
    assert answer.headers["Allow"] == "POST"


BODIES = {
    "nothing": b"",
    "half": b'{"runtime": ',
    "no UTF-8": b"\xff\xfe{}",
    "half a character": b'{"runtime": {"sdk_version": "\\ud800", "interpreter": "", "interpreter_version": ""}}',
    "a list": b"[]",
    "NaN": b"NaN",
    "nested": b"[" * 60_000,
    "a long number": b"1" * 60_000,
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_body_that_is_no_document_is_refused(population: Population, body: bytes) -> None:
    problem = population.device().call("POST", routes.CHECK_INS, body).problem
    assert (problem.status, problem.code) == (400, ErrorCode.INVALID_REQUEST)
    assert problem.detail.startswith("$")


def test_a_body_above_the_limit_is_refused(population: Population) -> None:
    device, limit = population.device(), population.orchestrator.context.settings.max_document_bytes
    body = b'{"runtime":{"sdk_version":"","interpreter":"","interpreter_version":""}'
    fits = body + b" " * (limit - len(body) - 1) + b"}"
    assert device.call("POST", routes.CHECK_INS, fits).status == 200
    problem = device.call("POST", routes.CHECK_INS, fits + b" ").problem
    assert (problem.status, problem.code) == (413, ErrorCode.TOO_LARGE)


def test_a_body_of_unknown_length_is_refused_as_soon_as_it_is_above_the_limit(population: Population) -> None:
    device, chunks = population.device(), (b" " * 10_000 for _ in range(7))
    answer = device.stream("POST", routes.CHECK_INS, chunks)
    assert answer.problem.code == ErrorCode.TOO_LARGE


def test_a_server_that_lives_and_is_ready_says_so(orchestrator: Orchestrator) -> None:
    assert get(orchestrator, routes.HEALTH).body == b'{"status":"alive"}'
    assert get(orchestrator, routes.READY).body == b'{"status":"ready"}'


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
def test_the_page_of_the_api_needs_no_content_network(orchestrator: Orchestrator, path: str) -> None:
    answer = get(orchestrator, path)
    assert answer.status == 200
    assert b"cdn." not in answer.body


def test_resources_are_everybodys_where_the_operator_says_so_and_nothing_else_is(tmp_path: Path) -> None:
    orchestrator = Orchestrator(tmp_path / "data", public_resources=True)
    orchestrator.start()
    try:
        orchestrator.population("garden").push()
        answer = orchestrator.connections.call("GET", orchestrator.url + routes.resource(DIGEST))
        assert (answer.status, answer.body) == (200, DATA)
        assert answer.headers["Cache-Control"].startswith("public, ")
        assert orchestrator.connections.call("GET", orchestrator.url + routes.TASKS).status == 401
    finally:
        orchestrator.stop()


def test_resources_need_a_session_or_a_key_otherwise(plan: Orchestrator) -> None:
    assert plan.connections.call("GET", plan.url + routes.resource(DIGEST)).status == 401
