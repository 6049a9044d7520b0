"""Who may call what: nobody without a key, no device as an operator, and no operator as a device."""

from typing import Any

import pytest

from orchestrator.api.problems import STATUS
from orchestrator.app import create_app
from tests.orchestrator.serving import Orchestrator, Population
from wire import routes
from wire.errors import ErrorCode

NAMES = {
    "device_id": "d",
    "assignment_id": "a",
    "task_id": "t",
    "sha256": "0" * 64,
    "round_number": 1,
    "key_id": "k",
    "token_id": "o",
    "label": "l",
}
OPEN_TO_ALL = {
    ("POST", routes.DEVICES),
    ("POST", routes.challenges("{device_id}")),
    ("POST", routes.sessions("{device_id}")),
    ("GET", routes.HEALTH),
    ("GET", routes.READY),
}
OF_DEVICES = {
    ("GET", routes.released_model("{label}")),
    ("POST", routes.CHECK_INS),
    ("POST", routes.upload("{assignment_id}")),
    ("PUT", routes.update("{assignment_id}")),
    ("POST", routes.report("{assignment_id}")),
}
OF_BOTH = {("GET", routes.resource("{sha256}"))}
OF_OPERATORS = {
    ("POST", routes.TASKS),
    ("GET", routes.TASKS),
    ("GET", routes.task("{task_id}")),
    ("POST", routes.task_cancel("{task_id}")),
    ("POST", routes.task_pause("{task_id}")),
    ("POST", routes.task_resume("{task_id}")),
    ("GET", routes.task_rounds("{task_id}")),
    ("GET", routes.task_round("{task_id}", "{round_number}")),
    ("GET", routes.task_assignments("{task_id}", "{round_number}")),
    ("GET", routes.task_checkpoints("{task_id}")),
    ("GET", routes.task_events("{task_id}")),
    ("GET", routes.checkpoint_comparison("{task_id}", "{round_number}")),
    ("GET", routes.checkpoint_model("{task_id}", "{round_number}")),
    ("PUT", routes.checkpoint_label("{task_id}", "{round_number}", "{label}")),
    ("DELETE", routes.checkpoint_label("{task_id}", "{round_number}", "{label}")),
    ("POST", routes.task_rollback("{task_id}")),
    ("GET", routes.LABELS),
    ("GET", routes.EVENTS),
    ("GET", routes.METRICS),
    ("GET", routes.task_result("{task_id}")),
    ("POST", routes.ENROLMENT_TOKENS),
    ("GET", routes.ENROLMENT_TOKENS),
    ("POST", routes.enrolment_token_revoke("{token_id}")),
    ("POST", routes.API_KEYS),
    ("GET", routes.API_KEYS),
    ("PATCH", routes.api_key("{key_id}")),
    ("POST", routes.api_key_revoke("{key_id}")),
    ("GET", routes.POPULATIONS),
    ("POST", routes.POPULATIONS),
    ("GET", routes.DEVICES),
    ("GET", routes.device("{device_id}")),
    ("POST", routes.device_revoke("{device_id}")),
}
GUARDED = sorted(OF_DEVICES | OF_BOTH | OF_OPERATORS)


def status(orchestrator: Orchestrator, route: tuple[str, str], authorization: str | None) -> int:
    method, path = route
    headers = {} if authorization is None else {"Authorization": authorization}
    body = b"{}" if method != "GET" else None
    answer = orchestrator.connections.call(method, orchestrator.url + path.format(**NAMES), body, headers=headers)
    if answer.status == 401:
        assert answer.problem.code == ErrorCode.UNAUTHENTICATED
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    return answer.status


def test_every_route_is_in_the_table_of_who_may_call_it(orchestrator: Orchestrator) -> None:
    paths: dict[str, Any] = create_app(orchestrator.context).openapi()["paths"]
    served = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert served == OPEN_TO_ALL | OF_DEVICES | OF_BOTH | OF_OPERATORS


@pytest.mark.parametrize("route", GUARDED, ids=" ".join)
def test_a_route_is_closed_without_a_good_key(orchestrator: Orchestrator, route: tuple[str, str]) -> None:
    wrong = (None, "", "Bearer", "Bearer ", "Bearer wrong", "Bearer fdo_wrong", "Basic dTpw", "Bearer \xe9")
    assert {key: status(orchestrator, route, key) for key in wrong} == dict.fromkeys(wrong, 401)


@pytest.mark.parametrize("path", [routes.CHECK_INS, routes.report("a"), routes.upload("a")])
def test_a_stranger_hears_that_it_is_one_before_what_is_wrong_with_its_message(
    orchestrator: Orchestrator, path: str
) -> None:
    for body in (b"{", b"x" * (2 << 20)):
        answer = orchestrator.connections.call("POST", orchestrator.url + path, body, token="wrong")
        assert (answer.status, answer.problem.code) == (401, ErrorCode.UNAUTHENTICATED)


def test_a_stranger_hears_so_before_what_is_wrong_with_its_headers(orchestrator: Orchestrator) -> None:
    headers = {routes.OFFSET_HEADER: "zz"}
    url = orchestrator.url + routes.update("a")
    assert orchestrator.connections.call("PUT", url, b"", token="wrong", headers=headers).status == 401


@pytest.mark.parametrize("route", sorted(OF_OPERATORS), ids=" ".join)
def test_a_device_is_no_operator(population: Population, route: tuple[str, str]) -> None:
    assert status(population.orchestrator, route, f"Bearer {population.device().token}") == 401


@pytest.mark.parametrize("route", sorted(OF_DEVICES), ids=" ".join)
def test_an_operator_is_no_device(orchestrator: Orchestrator, route: tuple[str, str]) -> None:
    assert status(orchestrator, route, f"Bearer {orchestrator.api_key}") == 401


@pytest.mark.parametrize("route", sorted(OF_BOTH), ids=" ".join)
def test_resources_are_for_both(population: Population, route: tuple[str, str]) -> None:
    assert status(population.orchestrator, route, f"Bearer {population.orchestrator.api_key}") == 404
    assert status(population.orchestrator, route, f"Bearer {population.device().token}") == 404


@pytest.mark.parametrize("route", sorted(OPEN_TO_ALL), ids=" ".join)
def test_an_open_route_asks_for_no_key(orchestrator: Orchestrator, route: tuple[str, str]) -> None:
    assert status(orchestrator, route, None) != 401


def test_every_error_code_has_a_status() -> None:
    assert STATUS.keys() == set(ErrorCode)
    assert all(400 <= status < 600 for status in STATUS.values())


def test_every_route_is_described(orchestrator: Orchestrator) -> None:
    document = create_app(orchestrator.context).openapi()
    assert document["info"]["title"] == "Fedelta orchestrator"
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["description"], (method, path)
            if method != "get" and not path.endswith(
                ("/challenges", "/cancel", "/pause", "/resume", "/revoke", "/{label}")
            ):
                assert operation["requestBody"]["content"], (method, path)
    check_in = document["paths"][routes.CHECK_INS]["post"]
    schema = check_in["requestBody"]["content"][routes.JSON]["schema"]
    assert schema["required"] == ["runtime"]
    assert schema["properties"]["runtime"]["properties"]["interpreter"] == {"title": "Interpreter", "type": "string"}
    assert "HTTPValidationError" not in str(document), "every refusal is a problem document"
