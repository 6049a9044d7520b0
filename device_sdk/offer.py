"""What a device tells about itself when it offers to work: its runtime, and roughly how many examples it has."""

import importlib.metadata
import math
from collections.abc import Mapping

from device_sdk.errors import StateError
from device_sdk.examples import ExampleStore
from plans.errors import ProgramError
from plans.manifest import FEATURES
from plans.runtime import installed_runtime
from wire.messages import CheckIn, CollectionSummary, Runtime


def offer(store: ExampleStore, attributes: Mapping[str, str]) -> CheckIn:
    """The check-in of a device with these examples.

    Raises:
        StateError: no TFLite runtime is installed.
    """
    return CheckIn(runtime(), tuple(summary(store, name) for name in store.names()), dict(attributes))


def runtime() -> Runtime:
    """The installed SDK and interpreter."""
    try:
        interpreter = installed_runtime()
    except ProgramError as error:
        raise StateError(str(error)) from error
    version = importlib.metadata.version("fedelta")
    return Runtime(version, interpreter.name, interpreter.version, tuple(sorted(FEATURES)))


def summary(store: ExampleStore, name: str) -> CollectionSummary:
    """A collection's name and its size as the orchestrator may know it."""
    return CollectionSummary(name, power_of_two_near(len(store.collection(name))))


def power_of_two_near(count: int) -> int:
    """The power of two nearest on a scale of doublings; 0 for none."""
    return 2 ** round(math.log2(count)) if count else 0
