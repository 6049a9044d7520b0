"""HTTP as it is, for tests that look at statuses and headers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import urllib3

from wire import codec, routes
from wire.errors import ErrorCode
from wire.messages import Problem

T = TypeVar("T")


class RefusedError(Exception):
    """The orchestrator answered with a problem document."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.status} {problem.code}: {problem.detail}")
        self.code = ErrorCode(problem.code)
        self.status = problem.status
        self.detail = problem.detail


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def problem(self) -> Problem:
        """The problem document, which says the same status as the response."""
        assert self.headers["Content-Type"] == routes.PROBLEM, self.body[:200]
        problem = codec.loads(Problem, self.body)
        assert problem.status == self.status
        return problem

    def document(self, kind: type[T]) -> T:
        """The document, or a `RefusedError`."""
        self.check()
        assert self.headers["Content-Type"] == routes.JSON
        return codec.loads(kind, self.body)

    def check(self) -> None:
        """Raise a `RefusedError` where the request was refused."""
        if self.status >= 400:
            raise RefusedError(self.problem)


class Connections:
    """Connections to orchestrators on the loopback, kept alive; any thread may use them."""

    def __init__(self) -> None:
        self._pool = urllib3.PoolManager(maxsize=64, retries=False, timeout=30.0)

    def call(
        self,
        method: str,
        url: str,
        body: bytes | Iterable[bytes] | None = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request. The body is bytes, or chunks of them whose length is not announced."""
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        response = self._pool.request(method, url, body=body, headers=sent, redirect=False)
        return Answer(response.status, response.headers, response.data)

    def close(self) -> None:
        """Let go of every connection."""
        self._pool.clear()
