"""A session token is earned with the key, belongs to one device, and ends."""

import pytest

from tests.orchestrator.device import Device
from tests.orchestrator.http import RefusedError
from tests.orchestrator.serving import Population
from wire import codec, routes, statements
from wire.errors import ErrorCode
from wire.messages import Session, SessionRequest


def refused(device: Device, request: SessionRequest) -> RefusedError:
    with pytest.raises(RefusedError) as error:
        device.call("POST", routes.sessions(device.device_id), codec.dumps(request)).document(Session)
    return error.value


def test_a_challenge_opens_one_session(population: Population) -> None:
    device = population.device()
    request = device.signed(device.challenge())
    session = device.call("POST", routes.sessions(device.device_id), codec.dumps(request)).document(Session)
    assert session.token.startswith("fds_")
    assert session.expires_in_seconds == 3600
    assert refused(device, request).code is ErrorCode.UNAUTHENTICATED


def test_every_session_of_a_device_is_good(population: Population) -> None:
    device = population.device()
    first = device.token
    device.open_session()
    assert device.token != first
    device.check_in()
    device.token = first
    device.check_in()


def test_another_devices_challenge_opens_nothing(population: Population) -> None:
    device, other = population.devices(2)
    challenge = other.challenge()
    assert "unknown, used or too old" in refused(device, device.signed(challenge)).detail
    device.device_id = other.device_id
    assert "is not by this device's key" in refused(device, device.signed(challenge)).detail


def test_a_challenge_does_not_wait_for_ever(population: Population) -> None:
    device = population.device()
    request = device.signed(device.challenge())
    population.orchestrator.clock.sleep(60)
    assert refused(device, request).status == 401


@pytest.mark.parametrize("signature", ["", "AAAA", statements.to_base64(bytes(64))])
def test_a_wrong_signature_opens_nothing(population: Population, signature: str) -> None:
    device = population.device()
    challenge = device.challenge()
    assert refused(device, SessionRequest(challenge, signature)).code is ErrorCode.UNAUTHENTICATED


def test_a_signature_for_another_purpose_opens_nothing(population: Population) -> None:
    device = population.device()
    challenge = device.challenge()
    signature = device.sign(statements.update(device.device_id, 1, challenge))
    assert refused(device, SessionRequest(challenge, signature)).code is ErrorCode.UNAUTHENTICATED


def test_a_device_that_is_not_enrolled_is_told_so(population: Population) -> None:
    device = population.stranger()
    device.device_id = "00000000-0000-0000-0000-000000000000"
    with pytest.raises(RefusedError) as error:
        device.challenge()
    assert (error.value.code, error.value.status) == (ErrorCode.UNKNOWN_DEVICE, 404)
    assert refused(device, device.signed("text")).code is ErrorCode.UNKNOWN_DEVICE


def test_a_session_ends_and_is_earned_anew(population: Population) -> None:
    device = population.device()
    population.orchestrator.clock.sleep(3599)
    device.check_in()
    population.orchestrator.clock.sleep(1)
    with pytest.raises(RefusedError) as error:
        device.check_in()
    assert error.value.code is ErrorCode.UNAUTHENTICATED
    device.open_session()
    device.check_in()


def test_secrets_are_kept_as_their_hashes_only(population: Population) -> None:
    device = population.device()
    challenge = device.challenge()
    kept = "\n".join(population.orchestrator.dump())
    assert all(secret not in kept for secret in (device.token, challenge, population.orchestrator.api_key))
