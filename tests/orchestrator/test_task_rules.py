"""When a task is complete, how it may be paused, and which of its checkpoints it keeps."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from orchestrator.db import queries
from orchestrator.domain import retention, tasks
from orchestrator.domain.tasks import OPEN, TRANSITIONS, TaskState
from tests.orchestrator.rows import add_task, task_in
from wire.operator_messages import RoundPolicy, StopCondition

RUNNING, PAUSED = TaskState.RUNNING, TaskState.PAUSED
ENDS = [TaskState.COMPLETED, TaskState.CANCELLED, TaskState.FAILED]


@pytest.mark.parametrize(("first", "second"), list(product(ENDS, ENDS)))
@pytest.mark.parametrize("source", [RUNNING, PAUSED])
def test_a_task_ends_once(tx: Connection, source: TaskState, first: TaskState, second: TaskState) -> None:
    add_task(tx, RoundPolicy())
    assert source is RUNNING or queries.tasks.move(tx, "task", RUNNING, PAUSED)
    assert queries.tasks.end(tx, "task", first, 1.0, "why")
    assert not queries.tasks.end(tx, "task", second, 2.0)
    assert not queries.tasks.move(tx, "task", RUNNING, PAUSED)
    assert not queries.tasks.move(tx, "task", PAUSED, RUNNING)
    found = task_in(tx)
    assert (found.state, found.ended_at, found.failure) == (first, 1.0, "why")


def test_a_task_is_paused_and_runs_on(tx: Connection) -> None:
    add_task(tx, RoundPolicy())
    assert not queries.tasks.move(tx, "task", PAUSED, RUNNING)
    assert queries.tasks.move(tx, "task", RUNNING, PAUSED)
    assert not queries.tasks.move(tx, "task", RUNNING, PAUSED)
    assert task_in(tx).state is PAUSED
    assert queries.tasks.move(tx, "task", PAUSED, RUNNING)
    assert task_in(tx).state is RUNNING


@pytest.mark.parametrize(("source", "target"), [*product(ENDS, TaskState), *product([RUNNING, PAUSED], ENDS)])
def test_a_task_is_moved_to_no_end_and_from_none(tx: Connection, source: TaskState, target: TaskState) -> None:
    add_task(tx, RoundPolicy())
    with pytest.raises(ValueError, match=f"a task never goes from {source} to {target}"):
        queries.tasks.move(tx, "task", source, target)


def test_open_tasks_may_end_in_every_way_and_ended_ones_stay() -> None:
    assert {RUNNING, PAUSED} == OPEN
    assert all(TRANSITIONS[source] == set(ENDS) | OPEN - {source} for source in OPEN)
    assert not any(TRANSITIONS[end] for end in ENDS)


BELOW = RoundPolicy(stop_when=StopCondition("loss", below=0.5, rounds=2))
ABOVE = RoundPolicy(stop_when=StopCondition("accuracy", above=0))
COMPLETE: dict[str, tuple[RoundPolicy, int, list[dict[str, float]], float, str | None]] = {
    "nothing yet": (RoundPolicy(rounds=3), 0, [], 0.0, None),
    "a round to go": (RoundPolicy(rounds=3), 2, [], 1e9, None),
    "the last round": (RoundPolicy(rounds=3), 3, [], 0.0, "3 rounds were completed"),
    "below twice": (BELOW, 2, [{"loss": 0.4}, {"loss": 0.3}], 0, "loss was below 0.5 in 2 rounds running"),
    "below once": (BELOW, 2, [{"loss": 0.4}, {"loss": 0.5}], 0, None),
    "below in the only round": (BELOW, 1, [{"loss": 0.4}], 0, None),
    "a metric that is not there": (BELOW, 2, [{"loss": 0.4}, {}], 0, None),
    "above": (ABOVE, 1, [{"accuracy": 0.1}], 0, "accuracy was above 0"),
    "not above": (ABOVE, 1, [{"accuracy": 0.0}], 0, None),
    "the last second": (RoundPolicy(time_limit_seconds=60), 1, [], 100 + 59.9, None),
    "the time is over": (RoundPolicy(time_limit_seconds=60), 1, [], 100 + 60.0, "its 60 s are over"),
}


@pytest.mark.parametrize(("policy", "completed", "metrics", "now", "expected"), COMPLETE.values(), ids=COMPLETE)
def test_a_task_is_complete_when_its_policy_says(
    policy: RoundPolicy, completed: int, metrics: list[dict[str, float]], now: float, expected: str | None
) -> None:
    assert tasks.completed_because(policy, completed, metrics, 100.0, now) == expected


NUMBERS = st.sets(st.integers(0, 60)).map(sorted)


@given(NUMBERS, NUMBERS, st.integers(0, 60), st.integers(1, 10), st.none() | st.integers(1, 10))
def test_the_newest_the_labelled_every_so_many_th_and_whatever_is_needed_stay(
    there: list[int], labelled: list[int], needed: int, last: int, every: int | None
) -> None:
    policy = RoundPolicy(keep_last=last, keep_every=every)
    going = retention.expendable(there, labelled, needed, policy)
    staying = set(there) - going
    assert going <= set(there)
    assert set(there[-last:]) <= staying
    assert not going & set(labelled)
    assert all(number < needed for number in going)
    assert every is None or all(number % every for number in going)
    assert retention.expendable(sorted(staying), labelled, needed, policy) == frozenset()
    for number in staying - set(there[-last:]) - set(labelled):
        assert number >= needed or (every is not None and number % every == 0)


def test_without_a_policy_every_checkpoint_stays() -> None:
    assert retention.expendable(range(100), [], 100, RoundPolicy()) == frozenset()
