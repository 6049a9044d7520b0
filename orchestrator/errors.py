"""What the orchestrator refuses, and why.

    OrchestratorError         every refusal, with the `ErrorCode` that the wire carries
    ├── InvalidRequestError   the caller's document or bytes are not what they should be
    ├── NotFoundError         there is no such thing, or it is not the caller's
    ├── UnauthenticatedError  no key or token, or one that is not good
    ├── RevokedError          the device was shut out
    ├── ConflictError         it would contradict what is already settled
    └── UnavailableError      not now; the same request later may be served

    DataFolderError           the data cannot be served: in use, incomplete, damaged, or of a newer version
    SettingsError             a setting is not what it should be
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


class RevokedError(OrchestratorError):
    """An operator has shut the device out."""

    def __init__(self, device_id: str) -> None:
        super().__init__(ErrorCode.DEVICE_REVOKED, f"the device {device_id} was revoked by an operator")


class ConflictError(OrchestratorError):
    """The request contradicts what is already settled; nothing was changed."""

    def __init__(self, message: str, code: ErrorCode = ErrorCode.CONFLICT) -> None:
        super().__init__(code, message)


class UnavailableError(OrchestratorError):
    """The server cannot do it just now; the same request later may be served."""

    def __init__(self, message: str) -> None:
        super().__init__(ErrorCode.UNAVAILABLE, message)


class DataFolderError(Exception):
    """The data folder, or the database, cannot be served; the message says why and what to do."""


class SettingsError(ValueError):
    """A setting is not what it should be; the message says what was expected."""


class DamagedBlobError(Exception):
    """Bytes of the store are not those that were kept: the disk, or somebody, changed them."""


class StoreUnavailableError(OSError):
    """The store cannot do it just now; the same call may succeed later, and nothing is half done."""
