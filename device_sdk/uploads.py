"""Where an update's bytes go: the parts that the assignment names, which must cover them exactly and in order."""

from device_sdk.errors import TrainingError
from wire import routes
from wire.messages import Assignment, UploadPart

METHODS = ("POST", "PUT")


def parts_for(assignment: Assignment, size_bytes: int) -> tuple[UploadPart, ...]:
    """The parts in which an update of this size travels.

    Raises:
        TrainingError: the assignment's parts are not for such an update.
    """
    whole = UploadPart("PUT", routes.update(assignment.assignment_id), 0, size_bytes)
    parts = assignment.upload or (whole,)
    end = 0
    for part in parts:
        if part.method not in METHODS or part.offset != end or part.size_bytes < 0:
            raise TrainingError(f"cannot upload {part.size_bytes} bytes at {part.offset} by {part.method}, after {end}")
        end += part.size_bytes
    if end != size_bytes:
        raise TrainingError(f"the update has {size_bytes} bytes; the assignment's upload is for {end}")
    return parts
