"""What can go wrong between a device, an operator and the orchestrator, by name.

    WireError
    ├── MessageError      a document that is not what the protocol says (codec)
    ├── TensorFormatError bytes that are not the tensors they should be (tensors)
    └── OperatorError     the orchestrator refused an operator's call, or could not be reached (operator)

`ErrorCode` is the vocabulary of the problem documents (RFC 9457) that the orchestrator answers with. A device acts on
the code, never on the sentence; `docs/errors.md` describes every one.
"""

from enum import StrEnum


class ErrorCode(StrEnum):
    """The `code` of a problem document: what happened, for a program to act on."""

    ASSIGNMENT_CLOSED = "assignment_closed"
    CONFLICT = "conflict"
    DEVICE_REVOKED = "device_revoked"
    DIGEST_MISMATCH = "digest_mismatch"
    EXPORT_FAILED = "export_failed"
    EXPORT_UNAVAILABLE = "export_unavailable"
    IDEMPOTENCY_CONFLICT = "idempotency_conflict"
    INTERNAL = "internal"
    INVALID_PLAN = "invalid_plan"
    INVALID_REQUEST = "invalid_request"
    INVALID_UPDATE = "invalid_update"
    NOT_FOUND = "not_found"
    NOT_FINITE = "not_finite"
    OUT_OF_RANGE = "out_of_range"
    REPORT_CONFLICT = "report_conflict"
    TOO_LARGE = "too_large"
    UNAUTHENTICATED = "unauthenticated"
    UNAVAILABLE = "unavailable"
    UNKNOWN_DEVICE = "unknown_device"
    UNSUPPORTED_PLAN = "unsupported_plan"
    UPDATE_MISSING = "update_missing"


class WireError(Exception):
    """The root of this package's errors."""


class MessageError(WireError):
    """A document does not have the form the protocol gives it; `path` says where (`$.plan.sha256`)."""

    def __init__(self, path: str, expected: str, found: str) -> None:
        super().__init__(f"{path}: expected {expected}, found {found}")
        self.path = path
        self.expected = expected
        self.found = found


class TensorFormatError(WireError):
    """Bytes do not hold the named tensors they should."""


class OperatorError(WireError):
    """The orchestrator refused an operator's call, or could not be reached; `code` is None when it never answered."""

    def __init__(self, message: str, *, status: int | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
