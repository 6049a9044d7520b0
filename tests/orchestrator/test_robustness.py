"""Whatever a device sends, it gets an answer or a problem document, never an error of ours."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.orchestrator.device import METRICS, Device, encoded
from tests.orchestrator.serving import Population
from tests.wire.documents import JSON_VALUES, values_of
from wire import codec, routes
from wire.messages import CheckIn, Enrolment, Report, SessionRequest

RELAXED = settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
KINDS: dict[str, type] = {
    "devices": Enrolment,
    "check-ins": CheckIn,
    "sessions": SessionRequest,
    "report": Report,
}


@pytest.fixture
def working(population: Population) -> tuple[Device, str]:
    """A device, and the id of an assignment that it still owes a report for."""
    population.push(cohort=2)
    device = population.device()
    return device, device.work().assignment_id


@st.composite
def nearly(draw: st.DrawFn, kind: type) -> Any:
    """A document of this kind, with a few of its values replaced by any JSON at all."""
    document = json.loads(codec.dumps(draw(values_of(kind))))
    for _ in range(draw(st.integers(0, 3))):
        place = document
        while isinstance(place, dict) and place:
            name = draw(st.sampled_from(sorted(place)))
            if not isinstance(place[name], dict) or draw(st.booleans()):
                place[name] = draw(JSON_VALUES)
                break
            place = place[name]
    return document


def check_sane(device: Device, path: str, body: bytes) -> None:
    answer = device.call("POST", path, body)
    if answer.status >= 400:
        assert answer.problem.status < 500, (body, answer.problem)


def path_of(route: str, device: Device, assignment_id: str) -> str:
    match route:
        case "devices":
            return routes.DEVICES
        case "check-ins":
            return routes.CHECK_INS
        case "sessions":
            return routes.sessions(device.device_id)
        case _:
            return routes.report(assignment_id)


@pytest.mark.parametrize("route", KINDS)
@RELAXED
@given(data=st.data())
def test_any_document_gets_an_answer_or_a_problem(working: tuple[Device, str], route: str, data: st.DataObject) -> None:
    device, assignment_id = working
    document = data.draw(JSON_VALUES | nearly(KINDS[route]))
    check_sane(device, path_of(route, device, assignment_id), json.dumps(document).encode())


@pytest.mark.parametrize("route", KINDS)
@RELAXED
@given(body=st.binary(max_size=40))
def test_any_bytes_get_a_problem(working: tuple[Device, str], route: str, body: bytes) -> None:
    device, assignment_id = working
    check_sane(device, path_of(route, device, assignment_id), body)


@RELAXED
@given(body=st.binary(max_size=300), sha256=st.text("0123456789abcdef", min_size=64, max_size=64) | st.none())
def test_any_upload_gets_a_problem(working: tuple[Device, str], body: bytes, sha256: str | None) -> None:
    device, assignment_id = working
    answer = device.put(assignment_id, body, sha256)
    assert answer.status == 204 or 400 <= answer.problem.status < 500


@settings(RELAXED, max_examples=10)
@given(metrics=st.fixed_dictionaries(dict.fromkeys(METRICS, st.floats(allow_nan=False, allow_infinity=False))))
def test_any_finite_metrics_can_be_shown(population: Population, metrics: dict[str, float]) -> None:
    task = population.push(rounds=1, cohort=1)
    device = population.device()
    assignment = device.work()
    device.finish(assignment, encoded(), metrics=metrics)
    population.task_in(task.task_id, "completed")
    assert population.operator.rounds(task.task_id)[0].state == "completed"
