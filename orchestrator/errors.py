"""What the orchestrator refuses, and why.

    OrchestratorError         every refusal, with the `ErrorCode` that the wire carries
    ├── InvalidRequestError   the caller's document or bytes are not what they should be
    ├── NotFoundError         there is no such thing, or it is not the caller's
    ├── UnauthenticatedError  no key or token, or one that is not good
    └── ConflictError         it would contradict what is already settled

    DataFolderError           the data folder cannot be served: in use, incomplete, damaged, or of a newer version
    DamagedBlobError          bytes of the store are not those that were kept
    StoreUnavailableError     the store cannot do it just now, as a full disk cannot; an OSError, as that one's is

`api.problems` turns the refusals into problem documents, once; nothing else knows a status number.
"""

from wire.errors import ErrorCode


class OrchestratorError(Exception):
    """The root of this package's errors: a refusal with a code and a sentence for people."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class InvalidRequestError(OrchestratorError):
    """The caller's document or bytes are not what they should be."""

    def __init__(self, message: str, code: ErrorCode = ErrorCode.INVALID_REQUEST) -> None:
        super().__init__(code, message)


class NotFoundError(OrchestratorError):
    """There is no such thing, or it is not the caller's to see."""

    def __init__(self, message: str, code: ErrorCode = ErrorCode.NOT_FOUND) -> None:
        super().__init__(code, message)


class UnauthenticatedError(OrchestratorError):
    """No key or token, or one that is unknown, used up or expired."""

    def __init__(self, message: str) -> None:
        super().__init__(ErrorCode.UNAUTHENTICATED, message)


class ConflictError(OrchestratorError):
    """The request contradicts what is already settled; nothing was changed."""

    def __init__(self, message: str, code: ErrorCode = ErrorCode.CONFLICT) -> None:
        super().__init__(code, message)


class DataFolderError(Exception):
    """The data folder cannot be served; the message says why and what to do."""


class DamagedBlobError(Exception):
    """Bytes of the store are not those that were kept: the disk, or somebody, changed them."""


class StoreUnavailableError(OSError):
    """The store cannot do it just now; the same call may succeed later, and nothing is half done."""
