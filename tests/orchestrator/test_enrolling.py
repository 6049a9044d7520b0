"""A device joins once, with a token that is good and a key that it holds."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from tests.orchestrator.device import Device
from tests.orchestrator.http import RefusedError
from tests.orchestrator.serving import Orchestrator, Population
from wire import codec, routes, statements
from wire.errors import ErrorCode
from wire.messages import Enrolled


def enrol_with(device: Device, token: str, **changes: Any) -> RefusedError:
    """The refusal of a changed enrolment."""
    body = codec.dumps(replace(device.enrolment(token), **changes))
    with pytest.raises(RefusedError) as refused:
        device.call("POST", routes.DEVICES, body).document(Enrolled)
    return refused.value


def test_a_device_gets_its_id_and_the_key_that_signs_plans(population: Population) -> None:
    device = population.stranger()
    enrolled = device.enrol(population.token())
    assert enrolled.population == population.name
    assert enrolled.plan_keys == (population.orchestrator.context.signer.public_key,)
    (view,) = (view for view in population.operator.devices() if view.device_id == enrolled.device_id)
    assert (view.population, view.last_seen_at) == (population.name, None)


def test_the_same_token_with_the_same_key_again_is_the_same_enrolment(population: Population) -> None:
    device, token = population.stranger(), population.token()
    first = device.enrol(token)
    before = population.orchestrator.dump()
    assert device.enrol(token) == first
    assert population.orchestrator.dump() == before


def test_a_token_is_good_for_as_many_devices_as_it_says(population: Population) -> None:
    token = population.token(uses=2)
    ids = {population.stranger().enrol(token).device_id for _ in range(2)}
    assert len(ids) == 2
    refused = enrol_with(population.stranger(), token)
    assert (refused.code, refused.status) == (ErrorCode.UNAUTHENTICATED, 401)
    assert "used up" in refused.detail


def test_many_devices_at_once_share_no_use(population: Population) -> None:
    token = population.token(uses=5)

    def attempt(_: int) -> bool:
        try:
            population.stranger().enrol(token)
        except RefusedError:
            return False
        return True

    with ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(attempt, range(20))) == 5


def test_an_expired_token_is_refused_but_still_answers_who_used_it(population: Population) -> None:
    token = population.token(uses=2, expires_in_seconds=60)
    device = population.stranger()
    first = device.enrol(token)
    population.orchestrator.clock.sleep(60)
    assert enrol_with(population.stranger(), token).code is ErrorCode.UNAUTHENTICATED
    assert device.enrol(token) == first


REFUSED: dict[str, tuple[dict[str, Any], ErrorCode]] = {
    "an unknown token": ({"token": "fde_" + "0" * 64}, ErrorCode.UNAUTHENTICATED),
    "no token": ({"token": ""}, ErrorCode.UNAUTHENTICATED),
    "another algorithm": ({"algorithm": "es256"}, ErrorCode.INVALID_REQUEST),
    "a key that is no base64": ({"public_key": "é"}, ErrorCode.INVALID_REQUEST),
    "a key that is too short": ({"public_key": "AAAA"}, ErrorCode.INVALID_REQUEST),
    "another key": ({"public_key": statements.to_base64(bytes(32))}, ErrorCode.UNAUTHENTICATED),
    "a signature that is no base64": ({"signature": "ünsigned"}, ErrorCode.INVALID_REQUEST),
    "a signature that is too short": ({"signature": "AAAA"}, ErrorCode.UNAUTHENTICATED),
    "another signature": ({"signature": statements.to_base64(bytes(64))}, ErrorCode.UNAUTHENTICATED),
}


@pytest.mark.parametrize(("changes", "code"), REFUSED.values(), ids=REFUSED)
def test_an_enrolment_that_proves_nothing_changes_nothing(
    population: Population, changes: dict[str, Any], code: ErrorCode
) -> None:
    good = population.token()
    before = population.orchestrator.dump()
    rest = dict(changes)
    assert enrol_with(population.stranger(), rest.pop("token", good), **rest).code is code
    assert population.orchestrator.dump() == before
    population.stranger().enrol(good)


def test_a_signature_over_another_token_is_refused(population: Population) -> None:
    device = population.stranger()
    stolen = device.enrolment(population.token())
    assert enrol_with(device, population.token(), signature=stolen.signature).code is ErrorCode.UNAUTHENTICATED


def test_tokens_are_minted_for_populations_that_are_there(orchestrator: Orchestrator) -> None:
    with pytest.raises(Exception, match="there is no population 'nowhere'; make it first"):
        Population(orchestrator, "nowhere").token()


def test_a_token_is_kept_as_its_hash_only(population: Population) -> None:
    token = population.token()
    assert token not in "\n".join(population.orchestrator.dump())
