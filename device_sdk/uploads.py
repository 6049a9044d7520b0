"""Where an update's bytes go: all of them at once, or the parts that the orchestrator names, in order, none twice."""

from dataclasses import replace

from device_sdk.errors import TrainingError, TransportError
from wire import routes
from wire.messages import Assignment, Resource, Upload, UploadPart

METHODS = ("POST", "PUT")


def check_size(assignment: Assignment, size_bytes: int) -> None:
    """Hold an update against the size that its assignment is for, where that says one.

    Raises:
        TrainingError: it has another size.
    """
    expected = sum(part.size_bytes for part in assignment.upload)
    if assignment.upload and expected != size_bytes:
        raise TrainingError(f"the update has {size_bytes} bytes; the assignment's upload is for {expected}")


def part_at_once(assignment: Assignment, update: Resource) -> UploadPart | None:
    """The whole of an update that the orchestrator takes without having heard of it; None where it wants to hear."""
    match assignment.upload:
        case (UploadPart("PUT", url, 0) as part,) if url.startswith("/"):
            return replace(part, headers=part.headers | {routes.DIGEST_HEADER: update.sha256})
    return None


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
