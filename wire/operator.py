"""The operator API's client: standard library only, so that any machine with Fedelta can push a task."""

import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from http.client import HTTPException
from typing import Any, TypeVar
from urllib.parse import urlencode

from wire import codec, events, routes
from wire.errors import MessageError, OperatorError
from wire.events import Event
from wire.messages import Problem
from wire.operator_messages import (
    ApiKey,
    ApiKeyPage,
    ApiKeyRequest,
    ApiKeyView,
    AssignmentPage,
    AssignmentView,
    CheckpointPage,
    CheckpointView,
    DevicePage,
    DeviceView,
    EnrolmentToken,
    EnrolmentTokenPage,
    EnrolmentTokenRequest,
    EnrolmentTokenView,
    PopulationPage,
    PopulationRequest,
    PopulationView,
    ResultView,
    RoundDetail,
    RoundPage,
    RoundView,
    TaskPage,
    TaskRequest,
    TaskView,
)
from wire.registry_messages import Comparison, LabelPage, LabelView, RollbackRequest

T = TypeVar("T")

_TIMEOUT_SECONDS = 60.0
_EXPORT_TIMEOUT_SECONDS = 1200.0
_PAGE_ROWS = 500
_RETRY_SECONDS = (0.5, 2.0)
_RECONNECTIONS = 10
_RECONNECT_SECONDS = 1.0
_UNAVAILABLE = 503
_JSON_BODY = {"Content-Type": routes.JSON}


class OperatorClient:
    """An operator's view of one orchestrator. Every call raises `OperatorError` where it is refused or not answered.

    Lists that may be long come as iterators, which fetch a page when it is reached. What makes something is sent again
    where no answer came, or the server could not keep it just then: under the same `Idempotency-Key`, so that it is
    made once.

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

    def push(
        self,
        request: TaskRequest,
        *,
        plan: bytes | None = None,
        model: bytes | None = None,
        idempotency_key: str | None = None,
    ) -> TaskView:
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
        return _read(TaskView, self._make(routes.TASKS, body, idempotency_key, content_type, timeout))

    def tasks(self, *, population: str | None = None, state: str | None = None) -> Iterator[TaskView]:
        """Tasks, newest first."""
        for page in self._pages(TaskPage, routes.TASKS, population=population, state=state):
            yield from page.tasks

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

    def rounds(self, task_id: str, *, state: str | None = None) -> tuple[RoundView, ...]:
        """A task's rounds, in their order."""
        pages = self._pages(RoundPage, routes.task_rounds(task_id), state=state)
        return tuple(round_ for page in pages for round_ in page.rounds)

    def round(self, task_id: str, round_number: int) -> RoundDetail:
        """A round, with what became of its devices."""
        return self._get(RoundDetail, routes.task_round(task_id, round_number))

    def assignments(self, task_id: str, round_number: int, *, state: str | None = None) -> Iterator[AssignmentView]:
        """A round's assignments, by their devices' ids."""
        for page in self._pages(AssignmentPage, routes.task_assignments(task_id, round_number), state=state):
            yield from page.assignments

    def checkpoints(self, task_id: str) -> tuple[CheckpointView, ...]:
        """A task's checkpoints, in the order of their rounds."""
        pages = self._pages(CheckpointPage, routes.task_checkpoints(task_id))
        return tuple(checkpoint for page in pages for checkpoint in page.checkpoints)

    def model(self, task_id: str, round_number: int) -> bytes:
        """A checkpoint as a model file, for `plans.inference.Model`."""
        return self._call("GET", routes.checkpoint_model(task_id, round_number))

    def label(self, task_id: str, round_number: int, label: str) -> CheckpointView:
        """Put a label on a checkpoint; whichever of the population had it has it no more."""
        return _read(CheckpointView, self._call("PUT", routes.checkpoint_label(task_id, round_number, label)))

    def unlabel(self, task_id: str, round_number: int, label: str) -> CheckpointView:
        """Take a label off a checkpoint."""
        return _read(CheckpointView, self._call("DELETE", routes.checkpoint_label(task_id, round_number, label)))

    def labels(self, *, population: str | None = None) -> Iterator[LabelView]:
        """Labels, by population and name."""
        for page in self._pages(LabelPage, routes.LABELS, population=population):
            yield from page.labels

    def compare(self, task_id: str, round_number: int, other: int) -> Comparison:
        """Two checkpoints of a task beside each other."""
        path = routes.checkpoint_comparison(task_id, round_number)
        return self._get(Comparison, path, **{"with": other})

    def roll_back(self, task_id: str, round_number: int, *, idempotency_key: str | None = None) -> CheckpointView:
        """Let a running task go on from an earlier checkpoint."""
        body = codec.dumps(RollbackRequest(round_number))
        return _read(CheckpointView, self._make(routes.task_rollback(task_id), body, idempotency_key))

    def result(self, task_id: str, round_number: int | None = None) -> ResultView:
        """What a round gave: that of this number, or the last completed one."""
        return self._get(ResultView, routes.task_result(task_id), round=round_number)

    def resource(self, sha256: str) -> bytes:
        """The bytes of a plan, a broadcast, a checkpoint or a result."""
        return self._call("GET", routes.resource(sha256))

    def devices(self, *, population: str | None = None, state: str | None = None) -> Iterator[DeviceView]:
        """Devices, newest first; `state` is `active` or `revoked`."""
        for page in self._pages(DevicePage, routes.DEVICES, population=population, state=state):
            yield from page.devices

    def device(self, device_id: str) -> DeviceView:
        """One device."""
        return self._get(DeviceView, routes.device(device_id))

    def revoke_device(self, device_id: str) -> DeviceView:
        """Shut a device out."""
        return _read(DeviceView, self._call("POST", routes.device_revoke(device_id)))

    def populations(self) -> tuple[PopulationView, ...]:
        """Every population."""
        return tuple(one for page in self._pages(PopulationPage, routes.POPULATIONS) for one in page.populations)

    def add_population(self, name: str, *, idempotency_key: str | None = None) -> PopulationView:
        """Make a population."""
        body = codec.dumps(PopulationRequest(name))
        return _read(PopulationView, self._make(routes.POPULATIONS, body, idempotency_key))

    def mint_token(self, request: EnrolmentTokenRequest, *, idempotency_key: str | None = None) -> EnrolmentToken:
        """Make an enrolment token, shown this once."""
        return _read(EnrolmentToken, self._make(routes.ENROLMENT_TOKENS, codec.dumps(request), idempotency_key))

    def tokens(self, *, population: str | None = None) -> Iterator[EnrolmentTokenView]:
        """Enrolment tokens, newest first."""
        for page in self._pages(EnrolmentTokenPage, routes.ENROLMENT_TOKENS, population=population):
            yield from page.tokens

    def revoke_token(self, token_id: str) -> EnrolmentTokenView:
        """End an enrolment token."""
        return _read(EnrolmentTokenView, self._call("POST", routes.enrolment_token_revoke(token_id)))

    def make_api_key(self, name: str, *, idempotency_key: str | None = None) -> ApiKey:
        """Make another operator API key, shown this once."""
        return _read(ApiKey, self._make(routes.API_KEYS, codec.dumps(ApiKeyRequest(name)), idempotency_key))

    def api_keys(self) -> Iterator[ApiKeyView]:
        """Operator API keys, oldest first."""
        for page in self._pages(ApiKeyPage, routes.API_KEYS):
            yield from page.api_keys

    def rename_api_key(self, key_id: str, name: str) -> ApiKeyView:
        """Give an API key another name."""
        return _read(ApiKeyView, self._call("PATCH", routes.api_key(key_id), codec.dumps(ApiKeyRequest(name))))

    def revoke_api_key(self, key_id: str) -> ApiKeyView:
        """End an API key."""
        return _read(ApiKeyView, self._call("POST", routes.api_key_revoke(key_id)))

    def events(self, task_id: str | None = None, *, after: int | None = None) -> Iterator[Event]:
        """What happens, as it happens; of one task, or of all. Ends with an error only.

        A lost connection is made again, and goes on where it was.

        Args:
            after: begin with the events after this one; without it, with what happens from now on.
        """
        path = routes.EVENTS if task_id is None else routes.task_events(task_id)
        failures = 0
        while True:
            try:
                with self._open("GET", path if after is None else f"{path}?after={after}") as stream:
                    for event in events.read(stream):
                        after, failures = event.event_id, 0
                        yield event
            except (OperatorError, OSError, HTTPException, ValueError) as error:
                failures += 1
                if failures > _RECONNECTIONS or not _may_pass(error):
                    raise _lost(self._url, error) from None
            time.sleep(_RECONNECT_SECONDS)

    def ready(self) -> bool:
        """Whether the orchestrator answers and can serve."""
        try:
            self._call("GET", routes.READY)
        except OperatorError:
            return False
        return True

    def _pages(self, kind: type[T], path: str, **query: object) -> Iterator[T]:
        cursor = None
        while True:
            page: Any = self._get(kind, path, limit=_PAGE_ROWS, cursor=cursor, **query)
            yield page
            cursor = page.next_cursor
            if cursor is None:
                return

    def _make(
        self,
        path: str,
        body: bytes,
        idempotency_key: str | None,
        content_type: str = routes.JSON,
        timeout_seconds: float = _TIMEOUT_SECONDS,
    ) -> bytes:
        headers = {"Content-Type": content_type, routes.IDEMPOTENCY_HEADER: idempotency_key or os.urandom(16).hex()}
        for pause in _RETRY_SECONDS:
            try:
                return self._call("POST", path, body, headers, timeout_seconds)
            except OperatorError as error:
                if not _may_pass(error):
                    raise
            time.sleep(pause)
        return self._call("POST", path, body, headers, timeout_seconds)

    def _get(self, kind: type[T], path: str, **query: object) -> T:
        given = urlencode({name: value for name, value in query.items() if value is not None})
        return _read(kind, self._call("GET", f"{path}?{given}" if given else path))

    def _call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] = _JSON_BODY,
        timeout_seconds: float = _TIMEOUT_SECONDS,
    ) -> bytes:
        try:
            with self._open(method, path, body, headers, timeout_seconds) as answer:
                return bytes(answer.read())
        except (OSError, HTTPException, ValueError) as error:
            raise _lost(self._url, error) from None

    def _open(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] = _JSON_BODY,
        timeout_seconds: float = _TIMEOUT_SECONDS,
    ) -> Any:
        sent = {"Authorization": f"Bearer {self._api_key}", **headers}
        request = urllib.request.Request(self._url + path, body, sent, method=method)  # noqa: S310 - see __init__
        try:
            return _OPENER.open(request, timeout=timeout_seconds)
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(error.code, error.read()) from None


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect is refused as an answer without a problem document: it would carry the key elsewhere."""

    def redirect_request(self, *_: object) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirects)


def _may_pass(error: Exception) -> bool:
    """Whether the same call again may be answered."""
    return not isinstance(error, OperatorError) or error.status in (None, _UNAVAILABLE)


def _lost(url: str, error: Exception) -> OperatorError:
    return error if isinstance(error, OperatorError) else OperatorError(f"{url} does not answer: {error}")


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
