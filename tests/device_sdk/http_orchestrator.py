"""The orchestrator in memory behind a small HTTP server on the loopback."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from device_sdk.errors import RefusedError, TransportError
from tests.device_sdk.memory_orchestrator import MemoryOrchestrator
from wire import codec, routes
from wire.errors import ErrorCode
from wire.messages import CheckIn, Enrolment, Problem, Report, Resource, SessionRequest, UploadPart


@dataclass
class Request:
    """What arrived, for a test to look at."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Answer:
    """What to answer."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": routes.JSON})


class Server:
    """An HTTP server whose answers come from `answer`; it keeps the requests."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.url = ""

    def answer(self, request: Request) -> Answer:
        raise NotImplementedError


class OrchestratorServer(Server):
    """Speaks for an orchestrator in memory."""

    def __init__(self, memory: MemoryOrchestrator) -> None:
        super().__init__()
        self._memory = memory

    def answer(self, request: Request) -> Answer:
        try:
            return self._route(request)
        except RefusedError as error:
            return _problem(Problem(error.status, error.code, error.detail))
        except TransportError as error:
            return _problem(Problem(503, ErrorCode.UNAVAILABLE, str(error), "", error.retry_after_seconds))

    def _route(self, request: Request) -> Answer:  # noqa: PLR0911 - one line a route
        memory, body = self._memory, request.body
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        match (request.method, *request.path.removeprefix(routes.API).strip("/").split("/")):
            case ("POST", "devices"):
                return _document(memory.enrol(codec.loads(Enrolment, body)), 201)
            case ("POST", "devices", device_id, "challenges"):
                return _document(memory.challenge(device_id))
            case ("POST", "devices", device_id, "sessions"):
                return _document(memory.open_session(device_id, codec.loads(SessionRequest, body)))
            case ("POST", "check-ins"):
                return _document(memory.check_in(token, codec.loads(CheckIn, body)))
            case ("GET", "models", label):
                return _document(memory.released(token, label))
            case ("GET", "resources", sha256):
                chunks: list[bytes] = []
                size = len(memory.resources.get(sha256, b""))
                offset = int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
                memory.fetch(token, Resource(sha256, size), offset, chunks.append)
                headers = {"Content-Type": routes.OCTETS}
                if offset:
                    headers["Content-Range"] = f"bytes {offset}-{size - 1}/{size}"
                return Answer(206 if offset else 200, b"".join(chunks), headers)
            case ("POST", "assignments", assignment_id, "upload"):
                return _document(memory.plan_upload(token, assignment_id, codec.loads(Resource, body)))
            case ("PUT", "assignments", _, "update"):
                offset = int(request.headers.get(routes.OFFSET_HEADER, "0"))
                memory.upload(token, UploadPart("PUT", request.path, offset, len(body)), body)
                return Answer(204)
            case ("POST", "assignments", assignment_id, "report"):
                return _document(memory.report(token, assignment_id, codec.loads(Report, body)))
        raise RefusedError(ErrorCode.NOT_FOUND, 404, request.path)


@contextmanager
def serving(server: Server) -> Iterator[str]:
    """Serve on a free port of the loopback; gives the URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            request = Request(self.command, self.path, dict(self.headers.items()), body)
            server.requests.append(request)
            answer = server.answer(request)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if answer.status != 204:
                self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST = do_PUT = _answer  # noqa: N815 - the names that http.server calls

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the name that http.server gives it
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        listener.daemon_threads = True
        thread = Thread(target=listener.serve_forever, args=(0.01,))
        thread.start()
        server.url = f"http://127.0.0.1:{listener.server_port}"
        try:
            yield server.url
        finally:
            listener.shutdown()
            thread.join()


def _document(message: object, status: int = 200) -> Answer:
    return Answer(status, codec.dumps(message))


def _problem(problem: Problem) -> Answer:
    return Answer(problem.status, codec.dumps(problem), {"Content-Type": routes.PROBLEM})
