"""A small device: the protocol over HTTP with a real key, and updates of any values."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from plans import bundle, client
from plans.client import Examples
from plans.program import Program
from tests.orchestrator.http import Answer, Connections
from tests.orchestrator.rows import CHECK_IN
from wire import codec, routes, statements, tensors
from wire.messages import (
    Assignment,
    Challenge,
    CheckIn,
    CheckInReply,
    Enrolled,
    Enrolment,
    Outcome,
    Report,
    ReportReceipt,
    Resource,
    Session,
    SessionRequest,
    UpdateManifest,
    Upload,
)
from wire.tensors import Array

T = TypeVar("T")

METRICS = {"loss_sum": 2.0, "loss_count": 4.0}


def update_of(w: Sequence[float] = (1, 2), b: float = 3, weight: float = 4) -> dict[str, Array]:
    """An update of the golden plan: weighted deltas, and the weight."""
    return {"w": np.array(w, np.float32), "b": np.array(b, np.float32), "weight": np.array(weight, np.float32)}


def encoded(w: Sequence[float] = (1, 2), b: float = 3, weight: float = 4) -> bytes:
    """The bytes of `update_of`."""
    return tensors.encode(update_of(w, b, weight))


class Device:
    """See the module's description. Methods named like the protocol's calls raise `RefusedError`."""

    def __init__(self, url: str, connections: Connections) -> None:
        self.url = url
        self.key = Ed25519PrivateKey.generate()
        self.device_id = ""
        self.token = ""
        self._connections = connections

    @property
    def public_key(self) -> str:
        return statements.to_base64(self.key.public_key().public_bytes_raw())

    def sign(self, statement: bytes) -> str:
        return statements.to_base64(self.key.sign(statement))

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Any call, with this device's session token."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._connections.call(method, self.url + path, body, token=self.token, headers=named)

    def stream(self, method: str, path: str, chunks: Iterable[bytes]) -> Answer:
        """A call whose body's length nobody knows before its end."""
        return self._connections.call(method, self.url + path, chunks, token=self.token)

    def moved_to(self, url: str, connections: Connections) -> "Device":
        """The same device before another orchestrator that knows it."""
        other = Device(url, connections)
        other.key, other.device_id, other.token = self.key, self.device_id, self.token
        return other

    def enrolment(self, token: str) -> Enrolment:
        return Enrolment(
            token, statements.ED25519, self.public_key, self.sign(statements.enrolment(token, self.public_key))
        )

    def enrol(self, token: str) -> Enrolled:
        enrolled = self.post(Enrolled, routes.DEVICES, self.enrolment(token))
        self.device_id = enrolled.device_id
        return enrolled

    def challenge(self) -> str:
        return self.post(Challenge, routes.challenges(self.device_id)).challenge

    def signed(self, challenge: str) -> SessionRequest:
        return SessionRequest(challenge, self.sign(statements.session(self.device_id, challenge)))

    def open_session(self) -> Session:
        session = self.post(Session, routes.sessions(self.device_id), self.signed(self.challenge()))
        self.token = session.token
        return session

    def check_in(self, message: CheckIn = CHECK_IN) -> CheckInReply:
        return self.post(CheckInReply, routes.CHECK_INS, message)

    def work(self) -> Assignment:
        """The assignment that a check-in must give."""
        reply = self.check_in()
        assert reply.assignment is not None, reply.rejection
        return reply.assignment

    def fetch(self, resource: Resource) -> bytes:
        answer = self.call("GET", routes.resource(resource.sha256))
        answer.check()
        assert bundle.digest(answer.body) == resource.sha256
        assert len(answer.body) == resource.size_bytes
        return answer.body

    def put(self, assignment_id: str, data: bytes, sha256: str | None = None) -> Answer:
        headers = {routes.DIGEST_HEADER: bundle.digest(data) if sha256 is None else sha256}
        return self.call("PUT", routes.update(assignment_id), data, **headers)

    def upload(self, assignment: Assignment, data: bytes) -> None:
        self.put(assignment.assignment_id, data).check()

    def send(self, assignment: Assignment, data: bytes) -> int:
        """Send what is missing of an update to where the orchestrator says; how many bytes that were."""
        announcement = Resource(bundle.digest(data), len(data))
        parts = self.post(Upload, routes.upload(assignment.assignment_id), announcement).parts
        for part in parts:
            body = data[part.offset : part.offset + part.size_bytes]
            if part.url.startswith("/"):
                answer = self._connections.call(
                    part.method, self.url + part.url, body, token=self.token, headers=part.headers
                )
            else:
                answer = self._connections.call(part.method, part.url, body, headers=part.headers)
            assert answer.status in (200, 204), answer.body
        return sum(part.size_bytes for part in parts)

    def completed(self, assignment: Assignment, data: bytes | None, **changes: Any) -> Report:
        """The report of completed work, signed."""
        update = None
        if data is not None:
            sha256 = bundle.digest(data)
            statement = statements.update(assignment.assignment_id, assignment.round_number, sha256)
            update = UpdateManifest(Resource(sha256, len(data)), self.sign(statement))
        return Report(**{"outcome": Outcome.COMPLETED, "metrics": METRICS, "update": update} | changes)

    def report(self, assignment_id: str, message: Report) -> ReportReceipt:
        return self.post(ReportReceipt, routes.report(assignment_id), message)

    def finish(self, assignment: Assignment, data: bytes | None, **changes: Any) -> ReportReceipt:
        """Send an update, where there is one, and report it."""
        if data is not None:
            self.upload(assignment, data)
        return self.report(assignment.assignment_id, self.completed(assignment, data, **changes))

    def train(self, assignment: Assignment, examples: Examples) -> tuple[dict[str, Array], Mapping[str, float]]:
        """Run the assignment's plan, fetched as a device fetches it; the update and the metrics."""
        plan = bundle.unpack(self.fetch(assignment.plan.resource))
        work = plan.manifest.work(assignment.work)
        broadcast = tensors.decode_as(work.broadcast_specs, self.fetch(assignment.broadcast))
        result = client.run(Program(plan.client), work, broadcast, {"default": examples}, seed=assignment.seed)
        return result.update, result.metrics

    def post(self, kind: type[T], path: str, message: object = None) -> T:
        body = None if message is None else codec.dumps(message)
        return self.call("POST", path, body).document(kind)
