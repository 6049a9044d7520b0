"""A federation for each test, ended with it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes.federation import Federation


@pytest.fixture
def federation(tmp_path: Path) -> Iterator[Federation]:
    """A running orchestrator without devices."""
    running = Federation(tmp_path)
    try:
        yield running
    finally:
        running.close()
