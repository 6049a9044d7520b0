"""What only a network does: nobody there, somebody else there, answers that are not the protocol's."""

import gzip

import pytest

from device_sdk.errors import RefusedError, StateError, TransportError
from device_sdk.http import MAX_DOCUMENT_BYTES, HttpTransport
from tests.device_sdk.http_orchestrator import Answer, Request, Server, serving
from wire import codec, routes
from wire.messages import CheckIn, Outcome, Problem, Report, Resource, Runtime, UploadPart

CHECK_IN = CheckIn(Runtime("1", "interpreter", "2"))


class Scripted(Server):
    """Gives one answer to everything."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self._answer = answer

    def answer(self, request: Request) -> Answer:
        return self._answer


def html(status: int, **headers: str) -> Answer:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, b"<html>", {"Content-Type": "text/html"} | names)


def problem(status: int, code: str = "internal") -> Answer:
    return Answer(status, codec.dumps(Problem(status, code, "so it is")), {"Content-Type": routes.PROBLEM})


NOT_THE_PROTOCOL = {
    "a captive portal": html(200),
    "a captive portal's redirect": html(302, Location="http://127.0.0.1:9/login"),
    "a proxy without an upstream": html(502),
    "a proxy that forbids": html(403),
    "a page that is not there": html(404),
    "a problem of the orchestrator's own": problem(500),
    "a problem that is busy": problem(429, "unavailable"),
    "a damaged problem": Answer(400, b"{", {"Content-Type": routes.PROBLEM}),
    "a list": Answer(200, b"[]"),
    "neither work nor rest": Answer(200, b"{}"),
    "a huge document": Answer(200, b" " * (MAX_DOCUMENT_BYTES + 1)),
    "a compressed document": Answer(200, gzip.compress(b"{}"), {"Content-Encoding": "gzip"}),
    "an unknown encoding": Answer(200, b"{}", {"Content-Encoding": "telepathy"}),
}


@pytest.mark.parametrize("answer", NOT_THE_PROTOCOL.values(), ids=NOT_THE_PROTOCOL)
def test_an_answer_that_is_not_the_protocols_may_be_better_later(answer: Answer) -> None:
    server = Scripted(answer)
    with serving(server) as url, pytest.raises(TransportError):
        HttpTransport(url).check_in("token", CHECK_IN)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422])
def test_a_problem_document_refuses(status: int) -> None:
    with serving(Scripted(problem(status, "a_newer_code"))) as url, pytest.raises(RefusedError) as refusal:
        HttpTransport(url).check_in("token", CHECK_IN)
    assert (refusal.value.status, refusal.value.code, refusal.value.detail) == (status, "a_newer_code", "so it is")


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [("120", 120.0), ("0.5", 0.5), ("-1", None), ("inf", None), ("nan", None), ("Fri, 31 Dec 2027 23:59:59 GMT", None)],
)
def test_retry_after_is_seconds(retry_after: str, seconds: float | None) -> None:
    with serving(Scripted(html(503, Retry_After=retry_after))) as url, pytest.raises(TransportError) as failure:
        HttpTransport(url).check_in("token", CHECK_IN)
    assert failure.value.retry_after_seconds == seconds


def test_nobody_there() -> None:
    with serving(Scripted(html(200))) as url:
        transport = HttpTransport(url)
    with pytest.raises(TransportError, match="cannot reach http://127"):
        transport.check_in("token", CHECK_IN)


def test_an_answer_that_ends_too_early() -> None:
    short = Answer(200, b"0123", {"Content-Length": "10"})
    with serving(Scripted(short)) as url, pytest.raises(TransportError):
        HttpTransport(url).fetch("token", Resource("0" * 64, 10), 0, list[bytes]().append)


def test_an_answer_that_does_not_know_about_ranges_is_taken_from_where_it_was_asked() -> None:
    chunks: list[bytes] = []
    with serving(Scripted(Answer(200, b"0123456789"))) as url:
        HttpTransport(url).fetch("token", Resource("0" * 64, 10), 4, chunks.append)
    assert b"".join(chunks) == b"456789"


@pytest.mark.parametrize(
    "url", ["", "orchestrator", "ftp://orchestrator", "http://", "file:///etc/passwd", "http://[::1"]
)
def test_a_url_is_one_of_http(url: str) -> None:
    with pytest.raises(StateError, match="the orchestrator's URL must be"):
        HttpTransport(url)


def test_a_path_below_a_host_is_kept() -> None:
    server = Scripted(Answer(200, b'{"rejection": {"retry_after_seconds": 1, "reason": ""}}'))
    with serving(server) as url:
        HttpTransport(f"{url}/fleet/").check_in("token", CHECK_IN)
    assert server.requests[0].path == "/fleet/v1/check-ins"
    assert server.requests[0].headers["Authorization"] == "Bearer token"


def test_an_upload_elsewhere_goes_without_the_session_token() -> None:
    ours, store = Scripted(html(404)), Scripted(Answer(204))
    with serving(ours) as url, serving(store) as elsewhere:
        part = UploadPart("PUT", f"{elsewhere}/bucket/key?signature=1", 0, 4, {"X-Amz-Acl": "private"})
        HttpTransport(url).upload("token", part, b"1234")
    (request,) = store.requests
    assert request.path == "/bucket/key?signature=1"
    assert request.body == b"1234"
    assert "Authorization" not in request.headers
    assert request.headers["X-Amz-Acl"] == "private"
    assert request.headers["Content-Length"] == "4"
    assert "Transfer-Encoding" not in request.headers
    assert not ours.requests


@pytest.mark.parametrize("target", ["http://store.example/key", "file:///tmp/x", "//store.example/key", "key"])
def test_an_upload_never_leaves_for_a_less_safe_place(target: str) -> None:
    with pytest.raises(TransportError, match="the update must go to"):
        HttpTransport("https://orchestrator.example").upload("token", UploadPart("PUT", target, 0, 1), b"?")


def test_a_report_without_a_receipt_is_not_delivered() -> None:
    with serving(Scripted(Answer(204))) as url, pytest.raises(TransportError, match="ReportReceipt"):
        HttpTransport(url).report("token", "assignment-1", Report(Outcome.FAILED))
