"""Reads the files that hold TFLite programs: a `.tflite`, or the two programs of a `.plan`."""

from pathlib import Path

from model_export.errors import FileError
from plans import bundle
from plans.bundle import Plan
from plans.errors import PlanError

PLAN_SUFFIX = ".plan"


def read_plan(path: Path) -> Plan:
    """The plan of a file.

    Raises:
        FileError: it cannot be read, or is not a plan.
    """
    try:
        return bundle.unpack(read_bytes(path))
    except PlanError as error:
        raise FileError(f"{path}: {error}") from error


def read_programs(path: Path) -> dict[str, bytes]:
    """{name: TFLite file}; the name is `client.tflite` and `server.tflite` for those of a plan.

    Raises:
        FileError: it cannot be read, or is not a plan though its name says so.
    """
    if path.suffix != PLAN_SUFFIX:
        return {path.name: read_bytes(path)}
    plan = read_plan(path)
    return {bundle.CLIENT: plan.client, bundle.SERVER: plan.server}


def read_bytes(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        FileError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}") from None
