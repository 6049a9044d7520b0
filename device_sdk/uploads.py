"""Where an update's bytes go: the parts that the orchestrator names, in order, none of them twice."""

from device_sdk.errors import TrainingError, TransportError
from wire.messages import Assignment, Upload, UploadPart

METHODS = ("POST", "PUT")


def check_size(assignment: Assignment, size_bytes: int) -> None:
    """Hold an update against the size that its assignment is for, where that says one.

    Raises:
        TrainingError: it has another size.
    """
    expected = sum(part.size_bytes for part in assignment.upload)
    if assignment.upload and expected != size_bytes:
        raise TrainingError(f"the update has {size_bytes} bytes; the assignment's upload is for {expected}")


def missing_parts(upload: Upload, size_bytes: int) -> tuple[UploadPart, ...]:
    """The parts of an update of this size that are still to be sent.

    Raises:
        TransportError: they are not parts of such an update.
    """
    end = 0
    for part in upload.parts:
        if part.method not in METHODS or part.offset < end or part.size_bytes < 0:
            raise TransportError(
                f"cannot upload {part.size_bytes} bytes at {part.offset} by {part.method}, after {end}"
            )
        end = part.offset + part.size_bytes
    if end > size_bytes:
        raise TransportError(f"the update has {size_bytes} bytes; the orchestrator asks for {end}")
    return upload.parts
