"""How a device joins, and joins once."""

import stat

import pytest

from device_sdk import files, identity
from device_sdk.enrolment import enrol
from device_sdk.errors import RefusedError, StateError, TransportError
from device_sdk.identity import EnrolmentRecord
from device_sdk.state_dir import StateDir
from tests.device_sdk.memory_orchestrator import POPULATION, TOKEN, Fault, MemoryOrchestrator


def join(state: StateDir, orchestrator: MemoryOrchestrator, token: str = TOKEN) -> EnrolmentRecord:
    return enrol(state, orchestrator, url="https://in.memory", token=token, attributes={"split": "train"})


def test_enrolling_pins_the_plan_keys(state: StateDir, orchestrator: MemoryOrchestrator) -> None:
    record = join(state, orchestrator)
    assert identity.load(state).record == record
    assert record.population == POPULATION
    assert [key.key_id for key in record.plan_keys] == ["operator"]
    assert record.attributes == {"split": "train"}
    assert record.device_id in orchestrator.devices


def test_the_private_key_is_for_its_owner_only(state: StateDir, orchestrator: MemoryOrchestrator) -> None:
    join(state, orchestrator)
    assert stat.S_IMODE(state.path.stat().st_mode) == 0o700
    assert stat.S_IMODE(state.key.stat().st_mode) == 0o600
    assert not any(state.key.read_bytes() in sent for sent in orchestrator.sent)


@pytest.mark.parametrize("fault", Fault)
def test_a_lost_answer_is_asked_for_again(state: StateDir, orchestrator: MemoryOrchestrator, fault: Fault) -> None:
    orchestrator.fail("enrol", fault)
    with pytest.raises(TransportError):
        join(state, orchestrator)
    join(state, orchestrator)
    assert len(orchestrator.devices) == 1
    assert orchestrator.sent[0] == orchestrator.sent[1]


def test_a_refused_token_leaves_the_device_unenrolled(state: StateDir, orchestrator: MemoryOrchestrator) -> None:
    with pytest.raises(RefusedError, match="the token is unknown"):
        join(state, orchestrator, "another")
    with pytest.raises(StateError, match="is not enrolled; run: fedelta-device enrol"):
        identity.load(state)
    join(state, orchestrator)


def test_an_enrolled_device_does_not_enrol_again(state: StateDir, orchestrator: MemoryOrchestrator) -> None:
    record = join(state, orchestrator)
    with pytest.raises(StateError, match=f"is enrolled already, as {record.device_id} of 'sensors'"):
        join(state, orchestrator)
    assert len(orchestrator.calls) == 1


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff"])
def test_a_damaged_record_is_named(state: StateDir, orchestrator: MemoryOrchestrator, content: bytes) -> None:
    join(state, orchestrator)
    state.enrolment.write_bytes(content)
    with pytest.raises(StateError, match=r"cannot read .*enrolment.json"):
        identity.load(state)


PUBLIC_KEY = b"""-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
"""


@pytest.mark.parametrize("content", [b"", b"not a key", PUBLIC_KEY])
def test_a_damaged_key_is_named(state: StateDir, orchestrator: MemoryOrchestrator, content: bytes) -> None:
    join(state, orchestrator)
    state.key.write_bytes(content)
    with pytest.raises(StateError, match=r"cannot read the device's key .*key.pem"):
        identity.load(state)


def test_one_process_works_in_a_state_directory(state: StateDir) -> None:
    with (
        files.locked(state.lock),
        pytest.raises(StateError, match="another fedelta-device is at work"),
        files.locked(state.lock),
    ):
        pytest.fail("two at once")
    with files.locked(state.lock):
        pass


def test_a_disk_that_does_not_take_a_file_is_named(state: StateDir) -> None:
    with pytest.raises(StateError, match=r"cannot write .*: No such file"):
        files.write_durably(state.path / "missing" / "file", b"")
