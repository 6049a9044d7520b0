"""The small rules: how assignments end, and how metrics combine."""

import math
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from orchestrator.db import queries
from orchestrator.domain import assignments, metrics
from orchestrator.domain.assignments import AssignmentState
from tests.orchestrator.rows import add_devices, add_round
from wire.messages import Outcome
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
