"""Errors become problem documents here, once (RFC 9457, with the wire's `ErrorCode`)."""

import logging
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DataError, OperationalError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.errors import OrchestratorError
from wire import codec, routes
from wire.errors import ErrorCode, MessageError
from wire.messages import Problem

log = logging.getLogger(__name__)

STATUS: dict[ErrorCode, HTTPStatus] = {
    ErrorCode.ASSIGNMENT_CLOSED: HTTPStatus.GONE,
    ErrorCode.CONFLICT: HTTPStatus.CONFLICT,
    ErrorCode.DEVICE_REVOKED: HTTPStatus.FORBIDDEN,
    ErrorCode.DIGEST_MISMATCH: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.EXPORT_FAILED: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.EXPORT_UNAVAILABLE: HTTPStatus.NOT_IMPLEMENTED,
    ErrorCode.IDEMPOTENCY_CONFLICT: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
    ErrorCode.INVALID_PLAN: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.INVALID_REQUEST: HTTPStatus.BAD_REQUEST,
    ErrorCode.INVALID_UPDATE: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.NOT_FINITE: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    ErrorCode.OUT_OF_RANGE: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.REPORT_CONFLICT: HTTPStatus.CONFLICT,
    ErrorCode.TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    ErrorCode.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    ErrorCode.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.UNKNOWN_DEVICE: HTTPStatus.NOT_FOUND,
    ErrorCode.UNSUPPORTED_PLAN: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.UPDATE_MISSING: HTTPStatus.CONFLICT,
}
_RETRY_SECONDS = 2.0
_CODE_OF_STATUS = {HTTPStatus.NOT_FOUND: ErrorCode.NOT_FOUND}
_BODY_HEADERS = (b"content-type", b"content-length")


def problem(code: ErrorCode, detail: str, retry_after_seconds: float | None = None) -> Response:
    """A problem document as a response."""
    status = STATUS[code]
    return _response(Problem(status, code.value, detail, status.phrase, retry_after_seconds))


def install(app: FastAPI) -> None:
    """Give an application the handlers that turn errors into problem documents."""
    app.add_exception_handler(OrchestratorError, _refused)
    app.add_exception_handler(MessageError, _not_a_message)
    app.add_exception_handler(RequestValidationError, _not_a_message)
    app.add_exception_handler(HTTPException, _refused_by_framework)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(OperationalError, _unavailable)
    app.add_exception_handler(DataError, _not_for_the_database)
    app.add_exception_handler(OSError, _unavailable)
    app.add_exception_handler(Exception, _our_fault)
    app.add_middleware(ProblemDocuments)


class ProblemDocuments:
    """Puts a problem document in the place of a refusal that a library wrote as text, such as a bad `Range`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, except the body of such a refusal."""
        is_replaced = False

        async def send_document(message: Message) -> None:
            nonlocal is_replaced
            if message["type"] == "http.response.start" and _is_refusal_in_text(message):
                is_replaced = True
                status = HTTPStatus(message["status"])
                code = _CODE_OF_STATUS.get(status, ErrorCode.INVALID_REQUEST)
                response = _response(Problem(status, code.value, status.description or status.phrase, status.phrase))
                kept = [header for header in message["headers"] if header[0].lower() not in _BODY_HEADERS]
                response.raw_headers.extend(kept)
                await response(scope, receive, send)
            elif not is_replaced:
                await send(message)

        await self._app(scope, receive, send_document)


def _is_refusal_in_text(start: Message) -> bool:
    if start["status"] < HTTPStatus.BAD_REQUEST:
        return False
    return not any(
        name.lower() == b"content-type" and routes.PROBLEM.encode() in value for name, value in start["headers"]
    )


def _response(document: Problem) -> Response:
    headers = {}
    if document.retry_after_seconds is not None:
        headers["Retry-After"] = str(round(document.retry_after_seconds))
    if document.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(codec.dumps(document), document.status, headers, media_type=routes.PROBLEM)


def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, OrchestratorError)  # noqa: S101 - what it is installed for
    retry = _RETRY_SECONDS if error.code is ErrorCode.UNAVAILABLE else None
    return problem(error.code, str(error), retry)


def _not_a_message(_: Request, error: Exception) -> Response:
    return problem(ErrorCode.INVALID_REQUEST, str(error))


def _refused_by_framework(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is installed for
    status = HTTPStatus(error.status_code)
    code = _CODE_OF_STATUS.get(status, ErrorCode.INVALID_REQUEST)
    response = _response(Problem(status, code.value, str(error.detail), status.phrase))
    response.headers.update(error.headers or {})
    return response


def _gone(_: Request, __: Exception) -> Response:
    return problem(ErrorCode.INVALID_REQUEST, "the request ended before its body did")


def _unavailable(_: Request, error: Exception) -> Response:
    log.error("the database or the disk refused: %s", error)
    return problem(ErrorCode.UNAVAILABLE, "the server cannot keep anything just now; try again", _RETRY_SECONDS)


def _not_for_the_database(_: Request, __: Exception) -> Response:
    return problem(ErrorCode.INVALID_REQUEST, "the request holds text or a number that the database cannot keep")


def _our_fault(request: Request, error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return problem(ErrorCode.INTERNAL, "the server made a mistake; it is in its log")
