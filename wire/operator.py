"""The operator API's client: standard library only, so that any machine with Fedelta can push a task."""

import os
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import TypeVar

from wire import codec, routes
from wire.errors import MessageError, OperatorError
from wire.messages import Problem
from wire.operator_messages import (
    CheckpointLabel,
    CheckpointPage,
    CheckpointView,
    DevicePage,
    DeviceView,
    EnrolmentToken,
    EnrolmentTokenRequest,
    PopulationPage,
    PopulationRequest,
    PopulationView,
    ResultView,
    RoundPage,
    RoundView,
    TaskPage,
    TaskRequest,
    TaskView,
)

T = TypeVar("T")

_TIMEOUT_SECONDS = 60.0
_EXPORT_TIMEOUT_SECONDS = 1200.0


class OperatorClient:
    """An operator's view of one orchestrator. Every call raises `OperatorError` where it is refused or not answered.

    Args:
        url: the orchestrator's address, as `https://fl.example.org`.
    """

    def __init__(self, url: str, api_key: str) -> None:
        if not url.startswith(("http://", "https://")):
            raise OperatorError(f"the orchestrator's address must begin with http:// or https://, found {url!r}")
        self._url = url.rstrip("/")
        self._api_key = api_key.strip()
        if not (self._api_key.isascii() and self._api_key.isprintable()):
            # The key itself is not repeated: errors end up in logs.
            raise OperatorError("the API key holds characters that no key has; copy it anew, it begins with fdo_")

    def push(self, request: TaskRequest, *, plan: bytes | None = None, model: bytes | None = None) -> TaskView:
        """Push a task with its plan, or with a `.keras` model that the orchestrator exports first."""
        boundary = os.urandom(16).hex()
        parts = [_part(boundary, 'name="task"', codec.dumps(request))]
        if plan is not None:
            parts.append(_part(boundary, 'name="plan"; filename="task.plan"', plan))
        if model is not None:
            parts.append(_part(boundary, 'name="model"; filename="model.keras"', model))
        body = b"".join([*parts, f"--{boundary}--\r\n".encode()])
        timeout = _TIMEOUT_SECONDS if model is None else _EXPORT_TIMEOUT_SECONDS
        content_type = f"multipart/form-data; boundary={boundary}"
        return _read(TaskView, self._call("POST", routes.TASKS, body, content_type, timeout))

    def tasks(self) -> tuple[TaskView, ...]:
        """The newest tasks."""
        return self._get(TaskPage, routes.TASKS).tasks

    def task(self, task_id: str) -> TaskView:
        """One task."""
        return self._get(TaskView, routes.task(task_id))

    def cancel(self, task_id: str) -> TaskView:
        """Stop a task."""
        return _read(TaskView, self._call("POST", routes.task_cancel(task_id)))

    def pause(self, task_id: str) -> TaskView:
        """Let a task select no device and open no round; what has begun goes on."""
        return _read(TaskView, self._call("POST", routes.task_pause(task_id)))

    def resume(self, task_id: str) -> TaskView:
        """Let a paused task go on."""
        return _read(TaskView, self._call("POST", routes.task_resume(task_id)))

    def rounds(self, task_id: str) -> tuple[RoundView, ...]:
        """A task's rounds, in their order."""
        return self._get(RoundPage, routes.task_rounds(task_id)).rounds

    def checkpoints(self, task_id: str) -> tuple[CheckpointView, ...]:
        """A task's checkpoints, in the order of their rounds."""
        return self._get(CheckpointPage, routes.task_checkpoints(task_id)).checkpoints

    def label_checkpoint(self, task_id: str, round_number: int, label: str) -> CheckpointView:
        """Call a checkpoint something, so that it is kept whatever the task's policy says; "" takes the label away."""
        path = routes.checkpoint_label(task_id, round_number)
        return _read(CheckpointView, self._call("PUT", path, codec.dumps(CheckpointLabel(label))))

    def result(self, task_id: str, round_number: int | None = None) -> ResultView:
        """What a round gave: that of this number, or the last completed one."""
        query = "" if round_number is None else f"?round={round_number}"
        return self._get(ResultView, routes.task_result(task_id) + query)

    def resource(self, sha256: str) -> bytes:
        """The bytes of a plan, a broadcast, a checkpoint or a result."""
        return self._call("GET", routes.resource(sha256))

    def devices(self) -> tuple[DeviceView, ...]:
        """The newest devices."""
        return self._get(DevicePage, routes.DEVICES).devices

    def populations(self) -> tuple[PopulationView, ...]:
        """Every population."""
        return self._get(PopulationPage, routes.POPULATIONS).populations

    def add_population(self, name: str) -> PopulationView:
        """Make a population."""
        return _read(PopulationView, self._call("POST", routes.POPULATIONS, codec.dumps(PopulationRequest(name))))

    def mint_token(self, request: EnrolmentTokenRequest) -> EnrolmentToken:
        """Make an enrolment token, shown this once."""
        return _read(EnrolmentToken, self._call("POST", routes.ENROLMENT_TOKENS, codec.dumps(request)))

    def ready(self) -> bool:
        """Whether the orchestrator answers and reaches its database."""
        try:
            self._call("GET", routes.READY)
        except OperatorError:
            return False
        return True

    def _get(self, kind: type[T], path: str) -> T:
        return _read(kind, self._call("GET", path))

    def _call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        content_type: str = routes.JSON,
        timeout_seconds: float = _TIMEOUT_SECONDS,
    ) -> bytes:
        headers = {"Authorization": f"Bearer {self._api_key}", "Content-Type": content_type}
        try:
            request = urllib.request.Request(self._url + path, body, headers, method=method)  # noqa: S310 - see __init__
            with _OPENER.open(request, timeout=timeout_seconds) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(error.code, error.read()) from None
        except (OSError, HTTPException, ValueError) as error:
            raise OperatorError(f"{self._url} does not answer: {error}") from None


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect is refused as an answer without a problem document: it would carry the key elsewhere."""

    def redirect_request(self, *_: object) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirects)


def _part(boundary: str, disposition: str, content: bytes) -> bytes:
    head = f"--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n"
    return head.encode() + content + b"\r\n"


def _read(kind: type[T], body: bytes) -> T:
    try:
        return codec.loads(kind, body)
    except MessageError as error:
        raise OperatorError(f"the answer is no {kind.__name__}: {error}; is this address an orchestrator?") from None


def _refusal(status: int, body: bytes) -> OperatorError:
    try:
        problem = codec.loads(Problem, body)
    except MessageError:
        return OperatorError(f"the orchestrator answered {status} without a problem document", status=status)
    return OperatorError(problem.detail, status=status, code=problem.code)
