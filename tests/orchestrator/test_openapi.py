"""The OpenAPI document is true: generated requests never make the server fail, and its answers are as described."""

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.orchestrator.device import encoded
from tests.orchestrator.serving import Orchestrator
from wire import routes

schemathesis = pytest.importorskip("schemathesis", reason="needs schemathesis, of the [dev] extra")

from schemathesis import GenerationMode  # noqa: E402 - only where it is there
from schemathesis.checks import not_a_server_error  # noqa: E402 - only where it is there
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance  # noqa: E402

CHECKS = (not_a_server_error, response_schema_conformance, status_code_conformance)
DEVICE_ROUTES = ("/v1/check-ins", "/v1/assignments")
SETTINGS = settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
# A stream has no end to wait for.
STREAMS = {routes.EVENTS, routes.task_events("{task_id}")}
# Those that shut the caller itself out are driven by tests of their own.
DESTRUCTIVE = {routes.api_key_revoke("{key_id}")}
# They end what the other routes need.
LAST = {routes.task_rollback("{task_id}"), routes.device_revoke("{device_id}"), routes.task_cancel("{task_id}")}


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An orchestrator with something of everything, and the ids of it."""
    own = Orchestrator(tmp_path_factory.mktemp("openapi") / "data")
    own.start()
    garden = own.population("garden")
    task = garden.push(rounds=3, cohort=1)
    device = garden.device()
    device.finish(device.work(), encoded())
    garden.round_in(task.task_id, 2, "selection")
    assignment = device.work()
    ids = {
        "task_id": task.task_id,
        "round_number": 1,
        "device_id": device.device_id,
        "assignment_id": assignment.assignment_id,
        "sha256": task.plan_sha256,
        "label": "released",
    }
    yield own, device, ids
    own.stop()


def test_the_document_is_sound(lived_in: Any) -> None:
    own, _, _ = lived_in
    document = own.app.openapi()
    assert document["openapi"].startswith("3.1")
    assert schemathesis.openapi.from_dict(document).raw_schema["paths"].keys() >= {routes.TASKS, routes.CHECK_INS}


@pytest.mark.timeout(300)
def test_no_request_makes_the_server_fail(lived_in: Any) -> None:
    own, device, ids = lived_in
    wrong: dict[str, str] = {}
    operations = [found.ok() for found in schemathesis.openapi.from_dict(own.app.openapi()).get_all_operations()]
    for operation in sorted(operations, key=lambda operation: operation.path in LAST):
        if operation.path in STREAMS | DESTRUCTIVE:
            continue
        token = device.token if operation.path.startswith(DEVICE_ROUTES) else own.api_key
        try:
            hold_to_its_description(operation, own.url, token, ids)
        except Exception as error:
            wrong[f"{operation.method} {operation.path}"] = str(error)
    assert not wrong, "\n\n".join(f"{name}\n{error}" for name, error in wrong.items())


def hold_to_its_description(operation: Any, url: str, token: str, ids: dict[str, object]) -> None:
    """Send a route some requests that its description allows, and some that it does not; hold the answers to it."""
    allowed = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    refused = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)

    @SETTINGS
    @given(case=allowed | refused)
    def answers_as_described(case: Any) -> None:
        case.path_parameters = {name: ids.get(name, value) for name, value in case.path_parameters.items()}
        response = case.call(base_url=url, headers={"Authorization": f"Bearer {token}"})
        case.validate_response(response, checks=CHECKS)

    answers_as_described()
