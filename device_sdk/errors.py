"""What can go wrong on a device.

DeviceError
├── TransportError   the orchestrator was not reached, or is busy: the same again later may succeed
├── RefusedError     the orchestrator answered no; `code` says why
├── StateError       the state directory cannot be used as it is
├── ExamplesError    arrays or a collection that are not what the example store takes
├── DeclinedError    work that this device will not do; the message is the report's reason
├── TrainingError    work that went wrong on the way; the message is the report's reason
└── DeadlineError    work that came too late; nobody waits for a report of it

The messages of DeclinedError and TrainingError travel to the orchestrator, so they never hold a value from an example.
"""


class DeviceError(Exception):
    """The root of this package's errors."""


class TransportError(DeviceError):
    """The orchestrator was not reached, or could not answer now; it may have said when to come back."""

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class RefusedError(DeviceError):
    """The orchestrator refused a call with a problem document; `code` is a `wire.errors.ErrorCode`, or a newer one."""

    def __init__(self, code: str, status: int, detail: str) -> None:
        super().__init__(f"{detail} ({code})")
        self.code = code
        self.status = status
        self.detail = detail


class StateError(DeviceError):
    """The state directory is locked, not enrolled, or holds a file that cannot be read."""


class ExamplesError(DeviceError):
    """Arrays cannot become examples, or there is no such collection."""


class DeclinedError(DeviceError):
    """The device will not do the work it was assigned."""


class TrainingError(DeviceError):
    """The work was begun and could not be finished."""


class DeadlineError(DeviceError):
    """The round stopped waiting before the work was done."""
