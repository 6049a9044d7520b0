"""What an export tells about its progress: the name of each stage as it begins."""

from collections.abc import Callable

Progress = Callable[[str], None]


def silent(stage: str) -> None:
    """Tell nothing."""
