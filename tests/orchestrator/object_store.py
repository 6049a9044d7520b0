"""An S3-compatible store on the loopback (moto's), and the variables that lead to it.

moto keeps objects as S3 does, but believes every signature and enforces no signed length.
"""

import importlib.util
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import urllib3

NEEDED = ("moto", "obstore")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]


class ObjectStore:
    """A running store with a bucket of its own."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.bucket = "fedelta"
        self.environment = {
            "AWS_ACCESS_KEY_ID": "an-access-key",
            "AWS_SECRET_ACCESS_KEY": "a-secret",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": endpoint,
        }

    def new_prefix(self) -> str:
        """A URL below which nobody has kept anything."""
        return f"s3://{self.bucket}/{uuid.uuid4().hex}"


@contextmanager
def running() -> Iterator[ObjectStore]:
    """Serve until the end of the block; skips the test where moto or obstore is not installed."""
    if MISSING:
        pytest.skip(f"needs {' and '.join(MISSING)}: pip install 'fedelta[orchestrator,dev]'")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    store = ObjectStore(f"http://{host}:{port}")
    try:
        _make_bucket(store)
        yield store
    finally:
        server.stop()


def _make_bucket(store: ObjectStore) -> None:
    """Make the bucket; moto loads itself with the first request, which may take it a while."""
    again = urllib3.Retry(total=5, backoff_factor=0.5, allowed_methods=None)
    made = urllib3.request("PUT", f"{store.endpoint}/{store.bucket}", retries=again, timeout=60)
    assert made.status in (200, 409), made.data  # 409 where only the answer was lost
