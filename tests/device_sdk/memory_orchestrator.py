"""An orchestrator in memory: the device's `Transport`, with real keys, signatures and digests.

It keeps what a device sent (`sent`, byte for byte), and can be told to fail: to cut a call before it happens, to lose
its answer after, or to refuse it.
"""

import dataclasses
import secrets
from collections.abc import Callable
from enum import Enum
from typing import Any, TypeVar

import numpy as np
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from device_sdk.errors import RefusedError, TransportError
from plans.bundle import digest
from tests.golden.make_plans import LINEAR
from wire import codec, routes, statements, tensors
from wire.errors import ErrorCode
from wire.messages import (
    Assignment,
    Challenge,
    CheckIn,
    CheckInReply,
    Enrolled,
    Enrolment,
    PlanStatement,
    PublicKey,
    Rejection,
    ReleasedModel,
    Report,
    ReportReceipt,
    Resource,
    Session,
    SessionRequest,
    SignedPlan,
    UpdateManifest,
    Upload,
    UploadPart,
)

T = TypeVar("T")

NOW = 1_800_000_000.0
TOKEN = "one-time-token"
POPULATION = "sensors"
BROADCAST = {
    "w": np.array([1, 2], np.float32),
    "b": np.array(3, np.float32),
    "client_learning_rate": np.array(0.1, np.float32),
}
UPDATE_BYTES = tensors.encoded_size(
    {"w": tensors.TensorSpec("float32", (2,))} | dict.fromkeys(("b", "weight"), tensors.TensorSpec("float32", ()))
)


class Fault(Enum):
    """What goes wrong with a call."""

    CUT = "the call never arrives"
    LOST = "the answer never arrives"


class MemoryOrchestrator:
    """See the module's description."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.sent: list[bytes] = []
        self.faults: list[tuple[str, Fault | RefusedError]] = []
        self.plan_key = Ed25519PrivateKey.generate()
        self.enrolments: dict[str, Enrolment | None] = {TOKEN: None}
        self.devices: dict[str, str] = {}
        self.challenges: set[str] = set()
        self.sessions: set[str] = set()
        self.resources: dict[str, bytes] = {}
        self.models: dict[str, ReleasedModel] = {}
        self.waiting: list[Assignment] = []
        self.check_ins: list[CheckIn] = []
        self.uploads: dict[str, bytes] = {}
        self.reports: dict[str, Report] = {}
        self.assigned: dict[str, Assignment] = {}
        self.rest_seconds = 5.0
        self.hears_of_updates = True

    # What a test arranges.

    def assign(
        self,
        *,
        work: str = "train",
        plan: bytes | None = None,
        broadcast: tensors.Tensors = BROADCAST,
        signer: Ed25519PrivateKey | None = None,
        upload: tuple[int, ...] = (UPDATE_BYTES,),
        **statement: Any,
    ) -> Assignment:
        """Have work for the next check-in; `statement` changes what the operator signs, `upload` are parts' sizes."""
        plan_bytes = LINEAR.read_bytes() if plan is None else plan
        model = tensors.encode(broadcast)
        number = len(self.assigned) + len(self.waiting) + 1
        assignment = Assignment(
            assignment_id=f"assignment-{number}",
            task_id="task-1",
            task_name="digits",
            round_number=number,
            work=work,
            plan=self.signed(plan_bytes, signer or self.plan_key, **statement),
            broadcast=self.keep(model),
            deadline_seconds=60.0,
            seed=number,
            upload=() if work == "evaluate" else self._parts(f"assignment-{number}", upload),
        )
        self.waiting.append(assignment)
        return assignment

    def keep(self, data: bytes) -> Resource:
        """Hand out some bytes from now on."""
        self.resources[digest(data)] = data
        return Resource(digest(data), len(data))

    def signed(self, plan: bytes, signer: Ed25519PrivateKey, **changes: Any) -> SignedPlan:
        """A plan under a statement that is signed as it stands, changes and all."""
        resource = self.keep(plan)
        statement = PlanStatement(
            resource.sha256, "task-1", POPULATION, 1, int(NOW) + 3600, "operator", statements.ED25519
        )
        statement = dataclasses.replace(statement, **changes)
        return SignedPlan(resource, statement, statements.to_base64(signer.sign(statements.plan(statement))))

    def release(
        self, data: bytes, label: str = "released", signer: Ed25519PrivateKey | None = None, **changes: Any
    ) -> ReleasedModel:
        """Hand out a model under a label, signed as it stands, changes and all."""
        unsigned = ReleasedModel(label, POPULATION, "task-1", 3, self.keep(data), "operator", statements.ED25519, "")
        unsigned = dataclasses.replace(unsigned, **changes)
        signature = (signer or self.plan_key).sign(statements.model(unsigned))
        self.models[label] = dataclasses.replace(unsigned, signature=statements.to_base64(signature))
        return self.models[label]

    def fail(self, call: str, fault: Fault | RefusedError) -> None:
        """Let the next call of that name go wrong, once."""
        self.faults.append((call, fault))

    # What a device calls.

    def enrol(self, enrolment: Enrolment) -> Enrolled:
        return self._answer("enrol", codec.dumps(enrolment), lambda: self._enrol(enrolment))

    def challenge(self, device_id: str) -> Challenge:
        return self._answer("challenge", device_id.encode(), lambda: self._challenge(device_id))

    def open_session(self, device_id: str, request: SessionRequest) -> Session:
        return self._answer("open_session", codec.dumps(request), lambda: self._open_session(device_id, request))

    def check_in(self, token: str, check_in: CheckIn) -> CheckInReply:
        return self._answer("check_in", codec.dumps(check_in), lambda: self._check_in(check_in), token)

    def released(self, token: str, label: str) -> ReleasedModel:
        return self._answer("released", label.encode(), lambda: self._released(label), token)

    def fetch(self, token: str, resource: Resource, offset: int, write: Callable[[bytes], object]) -> None:
        self._answer("fetch", resource.sha256.encode(), lambda: self._fetch(resource, offset, write), token)

    def plan_upload(self, token: str, assignment_id: str, update: Resource) -> Upload:
        return self._answer("plan_upload", codec.dumps(update), lambda: self._plan_upload(assignment_id, update), token)

    def upload(self, token: str, part: UploadPart, body: bytes) -> None:
        self._answer("upload", body, lambda: self._upload(part, body), token)

    def report(self, token: str, assignment_id: str, report: Report) -> ReportReceipt:
        return self._answer("report", codec.dumps(report), lambda: self._report(assignment_id, report), token)

    # What it does about it.

    def _parts(self, assignment_id: str, sizes: tuple[int, ...]) -> tuple[UploadPart, ...]:
        offsets = [sum(sizes[:index]) for index in range(len(sizes))]
        first = ("POST", routes.upload(assignment_id))
        where = first if self.hears_of_updates else ("PUT", routes.update(assignment_id))
        return tuple(UploadPart(*where, *span) for span in zip(offsets, sizes, strict=True))

    def _answer(self, call: str, sent: bytes, act: Callable[[], T], token: str | None = None) -> T:
        self.calls.append(call)
        self.sent.append(sent)
        fault = next((found for name, found in self.faults if name == call), None)
        if fault is not None:
            self.faults.remove((call, fault))
        if fault is Fault.CUT:
            raise TransportError(f"{call} was cut", retry_after_seconds=7.0)
        if isinstance(fault, RefusedError):
            raise fault
        if token is not None and token not in self.sessions:
            raise RefusedError(ErrorCode.UNAUTHENTICATED, 401, "no such session")
        answer = act()
        if fault is Fault.LOST:
            raise TransportError(f"the answer to {call} was lost", retry_after_seconds=7.0)
        return answer

    def _enrol(self, enrolment: Enrolment) -> Enrolled:
        if enrolment.token not in self.enrolments:
            raise RefusedError(ErrorCode.UNAUTHENTICATED, 401, "the token is unknown")
        if self.enrolments[enrolment.token] not in (None, enrolment):
            raise RefusedError(ErrorCode.CONFLICT, 409, "the token was used by another device")
        _verify(enrolment.public_key, enrolment.signature, statements.enrolment(enrolment.token, enrolment.public_key))
        self.enrolments[enrolment.token] = enrolment
        device_id = f"device-{digest(enrolment.public_key.encode())[:8]}"
        self.devices[device_id] = enrolment.public_key
        key = statements.to_base64(self.plan_key.public_key().public_bytes_raw())
        return Enrolled(device_id, POPULATION, (PublicKey("operator", statements.ED25519, key),))

    def _challenge(self, device_id: str) -> Challenge:
        if device_id not in self.devices:
            raise RefusedError(ErrorCode.UNKNOWN_DEVICE, 404, f"there is no device {device_id}")
        challenge = secrets.token_urlsafe(16)
        self.challenges.add(challenge)
        return Challenge(challenge, 60.0)

    def _open_session(self, device_id: str, request: SessionRequest) -> Session:
        if request.challenge not in self.challenges:
            raise RefusedError(ErrorCode.UNAUTHENTICATED, 401, "the challenge is unknown or used")
        self.challenges.remove(request.challenge)
        _verify(self.devices[device_id], request.signature, statements.session(device_id, request.challenge))
        token = secrets.token_urlsafe(16)
        self.sessions.add(token)
        return Session(token, 3600.0)

    def _check_in(self, check_in: CheckIn) -> CheckInReply:
        self.check_ins.append(check_in)
        if not self.waiting:
            return CheckInReply(rejection=Rejection(self.rest_seconds, "no round is open"))
        assignment = self.waiting.pop(0)
        self.assigned[assignment.assignment_id] = assignment
        return CheckInReply(assignment=assignment)

    def _released(self, label: str) -> ReleasedModel:
        if label not in self.models:
            raise RefusedError(ErrorCode.NOT_FOUND, 404, f"there is no model {label!r}")
        return self.models[label]

    def _fetch(self, resource: Resource, offset: int, write: Callable[[bytes], object]) -> None:
        if resource.sha256 not in self.resources:
            raise RefusedError(ErrorCode.NOT_FOUND, 404, "there is no such resource")
        data = self.resources[resource.sha256][: resource.size_bytes]
        for start in range(offset, len(data), 10_000):
            write(data[start : start + 10_000])

    def _plan_upload(self, assignment_id: str, update: Resource) -> Upload:
        if assignment_id not in self.assigned:
            raise RefusedError(ErrorCode.NOT_FOUND, 404, "there is no such assignment")
        whole = UploadPart("PUT", routes.update(assignment_id), 0, update.size_bytes)
        held = len(self.uploads.get(whole.url, b""))
        parts = self.assigned[assignment_id].upload or (whole,)
        return Upload(
            tuple(
                dataclasses.replace(
                    part,
                    method=whole.method,
                    url=whole.url,
                    headers={routes.DIGEST_HEADER: update.sha256, routes.OFFSET_HEADER: str(part.offset)},
                )
                for part in parts
                if part.offset + part.size_bytes > held
            )
        )

    def _upload(self, part: UploadPart, body: bytes) -> None:
        if len(body) != part.size_bytes:
            raise RefusedError(ErrorCode.INVALID_REQUEST, 400, "the body has another size than the part")
        before = self.uploads.get(part.url, b"")[: part.offset]
        self.uploads[part.url] = before + body

    def _report(self, assignment_id: str, report: Report) -> ReportReceipt:
        if assignment_id not in self.assigned:
            raise RefusedError(ErrorCode.NOT_FOUND, 404, "there is no such assignment")
        if report.update is not None:
            self._check_update(assignment_id, report.update)
        if self.reports.setdefault(assignment_id, report) != report:
            raise RefusedError(ErrorCode.REPORT_CONFLICT, 409, "another report came first")
        return ReportReceipt(assignment_id, report.outcome, report.update.resource.sha256 if report.update else None)

    def _check_update(self, assignment_id: str, update: UpdateManifest) -> None:
        sha256 = update.resource.sha256
        if digest(self.uploads.get(routes.update(assignment_id), b"")) != sha256:
            raise RefusedError(ErrorCode.UPDATE_MISSING, 409, "the update is not here")
        (public_key,) = self.devices.values()
        number = self.assigned[assignment_id].round_number
        _verify(public_key, update.signature, statements.update(assignment_id, number, sha256))


def _verify(public_key: str, signature: str, statement: bytes) -> None:
    key = Ed25519PublicKey.from_public_bytes(statements.from_base64(public_key, "public_key"))
    try:
        key.verify(statements.from_base64(signature, "signature"), statement)
    except InvalidSignature:
        raise RefusedError(ErrorCode.UNAUTHENTICATED, 401, "the signature is wrong") from None
