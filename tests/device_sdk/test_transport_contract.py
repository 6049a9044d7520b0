"""What every `Transport` does. A new one joins by a row in `TRANSPORTS`."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import pytest

from device_sdk.errors import RefusedError, TransportError
from device_sdk.http import HttpTransport
from device_sdk.identity import DeviceKey, key_of
from device_sdk.state_dir import StateDir
from device_sdk.transport import Transport
from plans.bundle import digest
from tests.device_sdk.http_orchestrator import OrchestratorServer, serving
from tests.device_sdk.memory_orchestrator import TOKEN, Fault, MemoryOrchestrator
from wire import routes, statements
from wire.errors import ErrorCode
from wire.messages import (
    Assignment,
    CheckIn,
    Enrolment,
    Outcome,
    Report,
    Resource,
    Runtime,
    SessionRequest,
    UpdateManifest,
    UploadPart,
)

CHECK_IN = CheckIn(Runtime("1", "interpreter", "2"))


@contextmanager
def in_memory(orchestrator: MemoryOrchestrator) -> Iterator[Transport]:
    yield orchestrator


@contextmanager
def over_http(orchestrator: MemoryOrchestrator) -> Iterator[Transport]:
    with serving(OrchestratorServer(orchestrator)) as url:
        yield HttpTransport(url)


TRANSPORTS: dict[str, Callable[[MemoryOrchestrator], AbstractContextManager[Transport]]] = {
    "in memory": in_memory,
    "over HTTP": over_http,
}


@pytest.fixture(params=list(TRANSPORTS.values()), ids=list(TRANSPORTS))
def transport(request: pytest.FixtureRequest, orchestrator: MemoryOrchestrator) -> Iterator[Transport]:
    with request.param(orchestrator) as made:
        yield made


@pytest.fixture
def key(state: StateDir) -> DeviceKey:
    return key_of(state)


@dataclass
class Member:
    """An enrolled device with a session."""

    device_id: str
    token: str


def enrolment(key: DeviceKey, token: str = TOKEN) -> Enrolment:
    signature = key.sign(statements.enrolment(token, key.public_key))
    return Enrolment(token, statements.ED25519, key.public_key, signature)


@pytest.fixture
def member(transport: Transport, key: DeviceKey) -> Member:
    device_id = transport.enrol(enrolment(key)).device_id
    challenge = transport.challenge(device_id).challenge
    signature = key.sign(statements.session(device_id, challenge))
    return Member(device_id, transport.open_session(device_id, SessionRequest(challenge, signature)).token)


def test_the_same_enrolment_gets_the_same_answer(transport: Transport, key: DeviceKey) -> None:
    assert transport.enrol(enrolment(key)) == transport.enrol(enrolment(key))


def test_an_unknown_token_is_refused(transport: Transport, key: DeviceKey) -> None:
    with pytest.raises(RefusedError) as refusal:
        transport.enrol(enrolment(key, "another token"))
    assert (refusal.value.code, refusal.value.status) == (ErrorCode.UNAUTHENTICATED, 401)
    assert refusal.value.detail == "the token is unknown"


def test_an_unknown_device_gets_no_challenge(transport: Transport) -> None:
    with pytest.raises(RefusedError) as refusal:
        transport.challenge("device-0")
    assert refusal.value.code == ErrorCode.UNKNOWN_DEVICE


def test_a_challenge_is_good_once(transport: Transport, key: DeviceKey, member: Member) -> None:
    challenge = transport.challenge(member.device_id).challenge
    request = SessionRequest(challenge, key.sign(statements.session(member.device_id, challenge)))
    transport.open_session(member.device_id, request)
    with pytest.raises(RefusedError):
        transport.open_session(member.device_id, request)


def test_a_check_in_is_answered(transport: Transport, orchestrator: MemoryOrchestrator, member: Member) -> None:
    rejection = transport.check_in(member.token, CHECK_IN).rejection
    assert rejection is not None
    assert rejection.retry_after_seconds == 5.0
    assignment = orchestrator.assign()
    assert transport.check_in(member.token, CHECK_IN).assignment == assignment


def test_a_released_model_is_named(transport: Transport, orchestrator: MemoryOrchestrator, member: Member) -> None:
    released = orchestrator.release(b"model")
    assert transport.released(member.token, "released") == released
    with pytest.raises(RefusedError) as refusal:
        transport.released(member.token, "other")
    assert refusal.value.code == ErrorCode.NOT_FOUND


def test_a_call_without_a_session_is_refused(transport: Transport) -> None:
    resource = Resource("0" * 64, 1)
    calls: list[Callable[[], object]] = [
        lambda: transport.check_in("stale", CHECK_IN),
        lambda: transport.released("stale", "released"),
        lambda: transport.fetch("stale", resource, 0, list[bytes]().append),
        lambda: transport.plan_upload("stale", "assignment-1", resource),
        lambda: transport.upload("stale", UploadPart("PUT", routes.update("assignment-1"), 0, 1), b"?"),
        lambda: transport.report("stale", "assignment-1", Report(Outcome.FAILED)),
    ]
    for call in calls:
        with pytest.raises(RefusedError) as refusal:
            call()
        assert refusal.value.code == ErrorCode.UNAUTHENTICATED


@pytest.mark.parametrize("size_bytes", [0, 1, 65_536, 200_001])
def test_a_resource_arrives_in_chunks(
    transport: Transport, orchestrator: MemoryOrchestrator, member: Member, size_bytes: int
) -> None:
    data = bytes(index % 251 for index in range(size_bytes))
    chunks: list[bytes] = []
    transport.fetch(member.token, orchestrator.keep(data), 0, chunks.append)
    assert b"".join(chunks) == data


@pytest.mark.parametrize("offset", [1, 65_536, 200_000])
def test_the_rest_of_a_resource_arrives(
    transport: Transport, orchestrator: MemoryOrchestrator, member: Member, offset: int
) -> None:
    data = bytes(index % 251 for index in range(200_001))
    chunks: list[bytes] = []
    transport.fetch(member.token, orchestrator.keep(data), offset, chunks.append)
    assert b"".join(chunks) == data[offset:]


def test_no_more_arrives_than_was_declared(
    transport: Transport, orchestrator: MemoryOrchestrator, member: Member
) -> None:
    resource = orchestrator.keep(b"0123456789")
    chunks: list[bytes] = []
    transport.fetch(member.token, Resource(resource.sha256, 4), 0, chunks.append)
    assert b"".join(chunks) == b"0123"
    assert transport.check_in(member.token, CHECK_IN).rejection is not None


def test_a_refused_resource_writes_nothing(transport: Transport, member: Member) -> None:
    chunks: list[bytes] = []
    with pytest.raises(RefusedError) as refusal:
        transport.fetch(member.token, Resource("0" * 64, 10), 0, chunks.append)
    assert refusal.value.code == ErrorCode.NOT_FOUND
    assert not chunks


def test_an_update_in_parts_is_reported(
    transport: Transport, orchestrator: MemoryOrchestrator, key: DeviceKey, member: Member
) -> None:
    orchestrator.assign(upload=(3, 4))
    assignment = transport.check_in(member.token, CHECK_IN).assignment
    assert assignment is not None
    report = completed(assignment, key, b"updates")
    with pytest.raises(RefusedError) as refusal:
        transport.report(member.token, assignment.assignment_id, report)
    assert refusal.value.code == ErrorCode.UPDATE_MISSING
    assert report.update is not None
    update = report.update.resource
    missing = transport.plan_upload(member.token, assignment.assignment_id, update).parts
    transport.upload(member.token, missing[0], b"upd")
    assert transport.plan_upload(member.token, assignment.assignment_id, update).parts == missing[1:]
    transport.upload(member.token, missing[1], b"ates")
    assert transport.plan_upload(member.token, assignment.assignment_id, update).parts == ()
    receipt = transport.report(member.token, assignment.assignment_id, report)
    assert receipt.update_sha256 == digest(b"updates")
    assert transport.report(member.token, assignment.assignment_id, report) == receipt
    with pytest.raises(RefusedError) as refusal:
        transport.report(member.token, assignment.assignment_id, Report(Outcome.FAILED))
    assert refusal.value.code == ErrorCode.REPORT_CONFLICT


def completed(assignment: Assignment, key: DeviceKey, update: bytes) -> Report:
    sha256 = digest(update)
    signature = key.sign(statements.update(assignment.assignment_id, assignment.round_number, sha256))
    return Report(Outcome.COMPLETED, {"loss_sum": 0.5}, UpdateManifest(Resource(sha256, len(update)), signature))


def test_an_orchestrator_that_cannot_answer_says_when_to_return(
    transport: Transport, orchestrator: MemoryOrchestrator, member: Member
) -> None:
    orchestrator.fail("check_in", Fault.CUT)
    with pytest.raises(TransportError) as failure:
        transport.check_in(member.token, CHECK_IN)
    assert failure.value.retry_after_seconds == 7.0
    assert transport.check_in(member.token, CHECK_IN).rejection is not None
