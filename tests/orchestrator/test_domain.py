"""The small rules: how tasks and assignments end, whom a task selects, how metrics combine, when to come back."""

import math
import random
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from orchestrator.db import queries
from orchestrator.domain import assignments, metrics, pacing, selection, tasks
from orchestrator.domain.assignments import AssignmentState
from orchestrator.domain.tasks import TaskState
from tests.orchestrator.rows import CHECK_IN, add_devices, add_round, add_task
from tests.plans.linear import PLAN, TRAIN
from wire.messages import CheckIn, CollectionSummary, Outcome, Runtime
from wire.operator_messages import RoundPolicy

ENDS = [state for state in AssignmentState if state is not AssignmentState.ASSIGNED]


@pytest.mark.parametrize(("first", "second"), list(product(ENDS, AssignmentState)))
def test_an_assignment_ends_once(tx: Connection, first: AssignmentState, second: AssignmentState) -> None:
    add_round(tx, RoundPolicy())
    (device,) = add_devices(tx, 1)
    queries.assignments.add(tx, "assignment", "round", device.device_id, 7, 0.0)
    assert queries.assignments.end(tx, "assignment", first, 1.0)
    assert not queries.assignments.end(tx, "assignment", second, 2.0)
    found = queries.assignments.by_id(tx, "assignment")
    assert found is not None
    assert found.state is first
    assert first in assignments.TRANSITIONS[AssignmentState.ASSIGNED]
    assert second not in assignments.TRANSITIONS[first]


def test_every_outcome_ends_an_assignment_in_a_state_of_its_own() -> None:
    assert assignments.STATE_AFTER.keys() == set(Outcome)
    assert {state: outcome for outcome, state in assignments.STATE_AFTER.items()} == assignments.OUTCOME_OF
    assert AssignmentState.EXPIRED not in assignments.OUTCOME_OF


@pytest.mark.parametrize(("first", "second"), list(product(set(TaskState) - {TaskState.RUNNING}, TaskState)))
def test_a_task_ends_once(tx: Connection, first: TaskState, second: TaskState) -> None:
    add_task(tx, RoundPolicy())
    assert queries.tasks.end(tx, "task", first, 1.0, "why")
    assert not queries.tasks.end(tx, "task", second, 2.0)
    found = queries.tasks.by_id(tx, "task")
    assert found is not None
    assert (found.state, found.ended_at, found.failure) == (first, 1.0, "why")
    assert first in tasks.TRANSITIONS[TaskState.RUNNING]
    assert not tasks.TRANSITIONS[first]


POLICY = RoundPolicy(attributes={"place": "garden"}, minimum_examples=8)
WILLING = replace(CHECK_IN, attributes={"place": "garden", "model": "pi-4"})
INELIGIBLE: dict[str, tuple[CheckIn, str]] = {
    "no attribute": (replace(WILLING, attributes={}), "its attribute 'place' is not 'garden'"),
    "another attribute": (replace(WILLING, attributes={"place": "attic"}), "its attribute 'place' is not 'garden'"),
    "an older runtime": (
        replace(WILLING, runtime=Runtime("0", "i", "1", ("passes",))),
        "its runtime lacks the feature 'mean'",
    ),
    "no collection": (replace(WILLING, collections=()), "it holds fewer than 8 examples in 'default'"),
    "another collection": (
        replace(WILLING, collections=(CollectionSummary("other", 100),)),
        "it holds fewer than 8 examples in 'default'",
    ),
    "too few examples": (replace(WILLING, collections=(CollectionSummary("default", 7),)), "it holds fewer than 8"),
}


def test_a_device_that_has_what_a_task_wants_is_eligible() -> None:
    assert selection.ineligible_because(WILLING, POLICY, PLAN.manifest, TRAIN) is None


@pytest.mark.parametrize(("check_in", "reason"), INELIGIBLE.values(), ids=INELIGIBLE)
def test_a_device_that_lacks_something_is_told_what(check_in: CheckIn, reason: str) -> None:
    found = selection.ineligible_because(check_in, POLICY, PLAN.manifest, TRAIN)
    assert found is not None
    assert found.startswith(reason)


def test_a_task_may_ask_for_no_examples() -> None:
    policy = replace(POLICY, minimum_examples=0)
    assert selection.ineligible_because(replace(WILLING, collections=()), policy, PLAN.manifest, TRAIN) is None


COMBINED: dict[str, tuple[list[dict[str, float]], dict[str, float]]] = {
    "nothing": ([], {}),
    "a mean": (
        [{"loss_sum": 1.0, "loss_count": 1.0}, {"loss_sum": 2.0, "loss_count": 3.0}],
        {"loss": 0.75},
    ),
    "a mean of nothing": ([{"loss_sum": 0.0, "loss_count": 0.0}], {}),
    "a total": ([{"steps": 2.0}, {"steps": 3.0}], {"steps": 5.0}),
    "a sum without a count": ([{"loss_sum": 2.0}], {"loss_sum": 2.0}),
    "a count without a sum": ([{"loss_count": 2.0}], {"loss_count": 2.0}),
    "a metric that one lacks": ([{"steps": 2.0}, {}], {"steps": 2.0}),
    "a total that no float holds": ([{"a": 1e308, "b": 1.0}, {"a": 1e308, "b": 1.0}], {"b": 2.0}),
    "a mean that no float holds": ([{"a_sum": 1e308, "a_count": 1e-300}], {}),
    "a mean of totals that no float holds": ([{"a_sum": 1e308, "a_count": 1e308}] * 2, {}),
}


@pytest.mark.parametrize(("reports", "expected"), COMBINED.values(), ids=COMBINED)
def test_metrics_combine_to_those_of_the_round(reports: list[dict[str, float]], expected: dict[str, float]) -> None:
    assert metrics.combine(reports) == expected


REPORTS = st.lists(
    st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("a_sum", "a_count", "b"), st.floats(allow_nan=False, allow_infinity=False))
    ),
    max_size=6,
)


@given(REPORTS, st.randoms(use_true_random=False))
def test_metrics_do_not_depend_on_the_order_of_the_reports(reports: list[dict[str, float]], randomness: Any) -> None:
    shuffled = list(reports)
    randomness.shuffle(shuffled)
    combined = metrics.combine(reports)
    assert metrics.combine(shuffled) == combined
    assert all(math.isfinite(value) for value in combined.values())


@given(st.floats(0.001, 1e6), st.integers())
def test_devices_come_back_around_the_interval_and_spread(interval_seconds: float, seed: int) -> None:
    generator = random.Random(seed)  # noqa: S311 - to be drawn again, not to be secret
    waits = [pacing.retry_after_seconds(interval_seconds, generator.random()) for _ in range(50)]
    assert all(interval_seconds / 2 <= wait <= interval_seconds * 1.5 for wait in waits)
    assert len(set(waits)) == 50
