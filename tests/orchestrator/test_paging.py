"""Lists come in pages that rows made meanwhile do not disturb."""

import base64
import json
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.paging import cursor_of, place_of
from tests.orchestrator.serving import Orchestrator, Population
from wire import routes
from wire.errors import ErrorCode


def listed(orchestrator: Orchestrator, path: str, **query: object) -> dict[str, Any]:
    answer = orchestrator.connections.call(
        "GET", f"{orchestrator.url}{path}?{urlencode(query)}", token=orchestrator.api_key
    )
    answer.check()
    document: dict[str, Any] = json.loads(answer.body)
    return document


def walked(orchestrator: Orchestrator, path: str, field: str, **query: object) -> list[list[dict[str, Any]]]:
    """Every page of a list."""
    pages = [listed(orchestrator, path, **query)]
    while (cursor := pages[-1].get("next_cursor")) is not None:
        pages.append(listed(orchestrator, path, cursor=cursor, **query))
    return [page[field] for page in pages]


def test_the_pages_of_a_list_are_its_rows_in_their_order(population: Population) -> None:
    ids = [device.device_id for device in population.devices(5)]
    pages = walked(population.orchestrator, routes.DEVICES, "devices", limit=2, population=population.name)
    assert [len(page) for page in pages] == [2, 2, 1]
    # They have enrolled at the same moment of the test's clock: their ids decide.
    assert [row["device_id"] for page in pages for row in page] == sorted(ids, reverse=True)


def test_a_full_last_page_has_no_next(population: Population) -> None:
    population.devices(2)
    pages = walked(population.orchestrator, routes.DEVICES, "devices", limit=2, population=population.name)
    assert [len(page) for page in pages] == [2]


def test_rows_that_come_during_a_walk_move_nothing(population: Population) -> None:
    orchestrator = population.orchestrator
    before = {device.device_id for device in population.devices(4)}
    query = {"limit": 2, "population": population.name}
    first = listed(orchestrator, routes.DEVICES, **query)
    orchestrator.clock.sleep(1)
    population.devices(3)
    second = listed(orchestrator, routes.DEVICES, cursor=first["next_cursor"], **query)
    assert [row["device_id"] for row in first["devices"] + second["devices"]] == sorted(before, reverse=True)
    assert "next_cursor" not in second


def test_tasks_and_rounds_and_checkpoints_and_assignments_come_in_pages(population: Population) -> None:
    orchestrator = population.orchestrator
    task = population.push(cohort=3, rounds=1)
    for device in population.devices(3):
        device.work()
    other = population.push(cohort=3)
    population.operator.cancel(other.task_id)
    pages = walked(orchestrator, routes.TASKS, "tasks", limit=1, population=population.name)
    assert {row["task_id"] for page in pages for row in page} == {task.task_id, other.task_id}
    assert len(pages) == 2
    running = walked(orchestrator, routes.TASKS, "tasks", population=population.name, state="running")
    assert [[row["task_id"] for row in page] for page in running] == [[task.task_id]]
    assert len(walked(orchestrator, routes.task_assignments(task.task_id, 1), "assignments", limit=1)) == 3
    assert walked(orchestrator, routes.task_rounds(task.task_id), "rounds", state="abandoned") == [[]]
    assert len(walked(orchestrator, routes.task_checkpoints(task.task_id), "checkpoints", limit=1)) == 1


def test_the_client_walks_every_page(population: Population, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = {device.device_id for device in population.devices(5)}
    monkeypatch.setattr("wire.operator._PAGE_ROWS", 2)
    assert {device.device_id for device in population.operator.devices(population=population.name)} == ids
    assert population.name in [one.name for one in population.operator.populations()]


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "many", "1.5", ""])
def test_a_limit_is_a_number_of_rows(orchestrator: Orchestrator, limit: str) -> None:
    answer = orchestrator.connections.call(
        "GET", f"{orchestrator.url}{routes.TASKS}?limit={limit}", token=orchestrator.api_key
    )
    assert (answer.problem.status, answer.problem.code) == (400, ErrorCode.INVALID_REQUEST)


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


CURSORS = {
    "nothing": "",
    "no base64": "*",
    "not ASCII": "é",
    "no JSON": base64.urlsafe_b64encode(b"{").decode(),
    "no list": encoded("tasks"),
    "another list": encoded(["devices", 1.0, "a"]),
    "too few": encoded(["tasks", 1.0]),
    "too many": encoded(["tasks", 1.0, "a", "b"]),
    "other types": encoded(["tasks", "a", 1.0]),
    "a flag": encoded(["tasks", True, "a"]),
    "nobody's number": encoded(["tasks", 10**30, "a"]),
    "infinity": encoded(["tasks", float("inf"), "a"]),
    "not a number": encoded(["tasks", float("nan"), "a"]),
    "a null character": encoded(["tasks", 1.0, "\0"]),
    "nested": "W" * 400,
}


@pytest.mark.parametrize("cursor", CURSORS.values(), ids=CURSORS)
def test_a_cursor_is_one_that_a_page_gave(orchestrator: Orchestrator, cursor: str) -> None:
    path = f"{orchestrator.url}{routes.TASKS}?{urlencode({'cursor': cursor})}"
    problem = orchestrator.connections.call("GET", path, token=orchestrator.api_key).problem
    assert problem.code == ErrorCode.INVALID_REQUEST
    assert "cursor" in problem.detail


@given(st.lists(st.floats(-1e12, 1e12) | st.integers(-(1 << 30), 1 << 30) | st.text("abc-é", max_size=36), max_size=3))
def test_a_cursor_gives_back_its_place(place: list[str | int | float]) -> None:
    assert place_of("rows", cursor_of("rows", tuple(place)), len(place)) == tuple(place)
