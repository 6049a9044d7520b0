"""The device's transport over HTTP.

What a network does to a call becomes one of two errors here. An answer that is not the protocol's (a captive portal's
page, a proxy's) says nothing about the call and is a `TransportError`; only a problem document refuses. Redirects are
never followed: the session token goes to the orchestrator and nowhere else. TLS certificates are checked against the
system's authorities (`SSL_CERT_FILE` names others).
"""

import importlib.metadata
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from typing import TypeVar
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from device_sdk.errors import RefusedError, StateError, TransportError
from wire import codec, routes
from wire.errors import MessageError
from wire.messages import (
    Challenge,
    CheckIn,
    CheckInReply,
    Enrolled,
    Enrolment,
    Problem,
    ReleasedModel,
    Report,
    ReportReceipt,
    Resource,
    Session,
    SessionRequest,
    Upload,
    UploadPart,
)

T = TypeVar("T")

MAX_DOCUMENT_BYTES = 1 << 20
CHUNK_BYTES = 1 << 16
_TIMEOUT = urllib3.Timeout(connect=10.0, read=60.0)
_SUCCESS = range(200, 300)
_PARTIAL = 206
_REFUSAL = range(400, 500)
_TRY_LATER = (408, 425, 429)


class HttpTransport:
    """A `Transport` to the orchestrator at a URL such as `https://orchestrator.example:8443`.

    Raises:
        StateError: the URL is not one of http or https.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        if not _is_http(self._url):
            raise StateError(f"the orchestrator's URL must be http://HOST or https://HOST, found {url!r}")
        agent = f"fedelta-device/{importlib.metadata.version('fedelta')}"
        self._pool = urllib3.PoolManager(timeout=_TIMEOUT, retries=False, headers={"User-Agent": agent})

    def enrol(self, enrolment: Enrolment) -> Enrolled:
        """See `Transport`."""
        return self._post(Enrolled, routes.DEVICES, enrolment)

    def challenge(self, device_id: str) -> Challenge:
        """See `Transport`."""
        return self._post(Challenge, routes.challenges(device_id), {})

    def open_session(self, device_id: str, request: SessionRequest) -> Session:
        """See `Transport`."""
        return self._post(Session, routes.sessions(device_id), request)

    def check_in(self, token: str, check_in: CheckIn) -> CheckInReply:
        """See `Transport`."""
        return self._post(CheckInReply, routes.CHECK_INS, check_in, token)

    def released(self, token: str, label: str) -> ReleasedModel:
        """See `Transport`."""
        url = self._url + routes.released_model(label)
        with self._request("GET", url, _bearer(token)) as response:
            return _message(ReleasedModel, url, _read_document(response))

    def report(self, token: str, assignment_id: str, report: Report) -> ReportReceipt:
        """See `Transport`."""
        return self._post(ReportReceipt, routes.report(assignment_id), report, token)

    def fetch(self, token: str, resource: Resource, offset: int, write: Callable[[bytes], object]) -> None:
        """See `Transport`."""
        wanted = {"Range": f"bytes={offset}-"} if offset else {}
        with self._request("GET", self._url + routes.resource(resource.sha256), _bearer(token) | wanted) as response:
            # Whoever does not know about ranges, as some proxies, answers 200 with all of it.
            place = offset if response.status == _PARTIAL else 0
            while place < resource.size_bytes and (chunk := _chunk(response, resource.size_bytes - place)):
                write(chunk[max(offset - place, 0) :])
                place += len(chunk)

    def plan_upload(self, token: str, assignment_id: str, update: Resource) -> Upload:
        """See `Transport`."""
        return self._post(Upload, routes.upload(assignment_id), update, token)

    def upload(self, token: str, part: UploadPart, body: bytes) -> None:
        """See `Transport`."""
        headers = {"Content-Type": routes.OCTETS, "Content-Length": str(len(body)), **part.headers}
        if part.url.startswith("/") and not part.url.startswith("//"):
            url, headers = self._url + part.url, headers | _bearer(token)
        elif _is_http(part.url) and not (_is_https(self._url) and not _is_https(part.url)):
            url = part.url
        else:
            raise TransportError(f"the update must go to a path or to a URL as safe as {self._url}, not to {part.url}")
        # As a file it is sent in blocks, each of which has the time-out to itself.
        with self._request(part.method, url, headers, BytesIO(body)):
            pass

    def _post(self, kind: type[T], path: str, message: object, token: str | None = None) -> T:
        headers = {"Content-Type": routes.JSON} | ({} if token is None else _bearer(token))
        with self._request("POST", self._url + path, headers, codec.dumps(message)) as response:
            return _message(kind, self._url + path, _read_document(response))

    @contextmanager
    def _request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | BytesIO | None = None
    ) -> Iterator[BaseHTTPResponse]:
        """A successful response, to be read inside; what goes wrong, then or there, is one of our errors."""
        try:
            response = self._pool.request(
                method, url, body=body, headers={**self._pool.headers, **headers}, redirect=False, preload_content=False
            )
            try:
                _check_status(response, url)
                yield response
                if response.length_remaining == 0:
                    response.drain_conn()  # gives the connection back; one with bytes left is closed instead
            finally:
                response.close()
        except HTTPError as error:
            raise TransportError(f"cannot reach {url}: {error}") from error


def _check_status(response: BaseHTTPResponse, url: str) -> None:
    if response.status in _SUCCESS:
        return
    problem = _read_problem(response)
    if problem is not None and response.status in _REFUSAL and response.status not in _TRY_LATER:
        raise RefusedError(problem.code, response.status, problem.detail)
    detail = "" if problem is None else f": {problem.detail}"
    raise TransportError(f"{url} answered with status {response.status}{detail}", _retry_after(response, problem))


def _read_problem(response: BaseHTTPResponse) -> Problem | None:
    """The problem document that a response holds, if it holds one."""
    if not response.headers.get("Content-Type", "").startswith(routes.PROBLEM):
        return None
    try:
        return codec.loads(Problem, _read_document(response))
    except MessageError:
        return None


def _message(kind: type[T], url: str, document: bytes) -> T:
    try:
        return codec.loads(kind, document)
    except MessageError as error:
        raise TransportError(f"{url} did not answer with a {kind.__name__}: {error}") from error


def _read_document(response: BaseHTTPResponse) -> bytes:
    document = response.read(MAX_DOCUMENT_BYTES + 1, decode_content=False)
    if len(document) > MAX_DOCUMENT_BYTES:
        raise TransportError(f"the answer has more than {MAX_DOCUMENT_BYTES} bytes, which no message has")
    return document


def _chunk(response: BaseHTTPResponse, room: int) -> bytes:
    return response.read(min(room, CHUNK_BYTES), decode_content=False)


def _retry_after(response: BaseHTTPResponse, problem: Problem | None) -> float | None:
    """Seconds until the orchestrator wants to hear from us; a Retry-After that is a date counts as none."""
    if problem is not None and problem.retry_after_seconds is not None:
        return problem.retry_after_seconds
    try:
        seconds = float(response.headers.get("Retry-After", "none"))
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _is_https(url: str) -> bool:
    return urlsplit(url).scheme == "https"
