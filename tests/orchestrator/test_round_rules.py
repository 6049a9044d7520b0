"""The table of a round's transitions, row by row, and the rule that says when each is due."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from orchestrator.db import queries
from orchestrator.domain import rounds
from orchestrator.domain.rounds import OPEN, TRANSITIONS, Progress, RoundState, Transition, due_transition
from tests.orchestrator.rows import add_round, round_of
from wire.operator_messages import RoundPolicy

SELECTION, REPORTING, AGGREGATION = RoundState.SELECTION, RoundState.REPORTING, RoundState.AGGREGATION
ABANDONED, CANCELLED = RoundState.ABANDONED, RoundState.CANCELLED
LEGAL = {
    (SELECTION, REPORTING),
    (SELECTION, ABANDONED),
    (SELECTION, RoundState.FAILED),
    (SELECTION, CANCELLED),
    (REPORTING, AGGREGATION),
    (REPORTING, ABANDONED),
    (REPORTING, RoundState.FAILED),
    (REPORTING, CANCELLED),
    (AGGREGATION, RoundState.COMPLETED),
    (AGGREGATION, RoundState.FAILED),
    (AGGREGATION, CANCELLED),
}
WAY_TO = {
    SELECTION: (),
    REPORTING: (REPORTING,),
    AGGREGATION: (REPORTING, AGGREGATION),
    RoundState.COMPLETED: (REPORTING, AGGREGATION, RoundState.COMPLETED),
    RoundState.FAILED: (REPORTING, AGGREGATION, RoundState.FAILED),
    ABANDONED: (ABANDONED,),
    CANCELLED: (CANCELLED,),
}
POLICY = RoundPolicy(
    cohort=4, report_goal=3, minimum_reports=2, selection_deadline_seconds=10, reporting_deadline_seconds=100
)


def bring(tx: Connection, state: RoundState) -> None:
    """Take a new round to a state by legal steps."""
    add_round(tx, POLICY)
    source = SELECTION
    for target in WAY_TO[state]:
        assert queries.rounds.move(tx, "round", source, target, 1.0)
        source = target


@pytest.mark.parametrize(("source", "target"), list(product(RoundState, RoundState)))
def test_a_round_takes_the_legal_transitions_and_no_other(
    tx: Connection, source: RoundState, target: RoundState
) -> None:
    bring(tx, source)
    if (source, target) in LEGAL:
        assert queries.rounds.move(tx, "round", source, target, 1.0)
        assert round_of(tx).state is target
        return
    with pytest.raises(ValueError, match=f"a round never goes from {source} to {target}"):
        queries.rounds.move(tx, "round", source, target, 1.0)
    assert round_of(tx).state is source


@pytest.mark.parametrize("state", [state for state in RoundState if state is not SELECTION])
def test_a_round_that_has_moved_on_is_not_moved_again(tx: Connection, state: RoundState) -> None:
    bring(tx, state)
    assert not queries.rounds.move(tx, "round", SELECTION, CANCELLED, 1.0)
    assert round_of(tx).state is state


def test_places_are_claimed_while_a_round_selects_and_has_some(tx: Connection) -> None:
    add_round(tx, POLICY)
    assert [queries.rounds.claim_place(tx, "round", 2, now) for now in (5.0, 6.0, 7.0)] == [True, True, False]
    assert (round_of(tx).progress.assigned, round_of(tx).progress.first_assigned_at) == (2, 5.0)
    queries.rounds.move(tx, "round", SELECTION, REPORTING, 1.0)
    assert not queries.rounds.claim_place(tx, "round", 9, 8.0)


def test_every_open_state_leads_on_and_every_ended_one_nowhere() -> None:
    assert {SELECTION, REPORTING, AGGREGATION} == OPEN
    assert all((target in TRANSITIONS[source]) == ((source, target) in LEGAL) for source in OPEN for target in OPEN)


def selecting(assigned: int, reported: int = 0, settled: int = 0, since: float | None = 0.0) -> Progress:
    return Progress(SELECTION, assigned, reported, settled, since, None)


def reporting(assigned: int, reported: int = 0, settled: int = 0) -> Progress:
    return Progress(REPORTING, assigned, reported, settled, -5.0, 0.0)


# The policy wants 2 to 3 reports of 4 devices; it selects for 10 s and waits 100 s for reports.
DUE: dict[str, tuple[Progress, float, RoundState | None]] = {
    "nobody came": (selecting(0, since=None), 1e9, None),
    "the cohort is not full": (selecting(3), 9.9, None),
    "the cohort is full": (selecting(4), 0.0, REPORTING),
    "the cohort was full and a device declined": (selecting(4, settled=1), 0.0, None),
    "another took the place of one that declined": (selecting(5, settled=1), 0.0, REPORTING),
    "the goal is reached while selecting": (selecting(3, reported=3), 1.0, REPORTING),
    "selection is over and the minimum may come": (selecting(2), 10.0, REPORTING),
    "selection is over and some reported": (selecting(3, reported=1, settled=1), 10.0, REPORTING),
    "selection is over and too few were selected": (selecting(1), 10.0, ABANDONED),
    "selection is over and too few are left": (selecting(3, settled=2), 10.0, ABANDONED),
    "devices are still out": (reporting(4, reported=2), 99.9, None),
    "none has reported yet": (reporting(4), 0.0, None),
    "the goal is reached": (reporting(4, reported=3), 0.0, AGGREGATION),
    "more than the goal came": (reporting(4, reported=4), 0.0, AGGREGATION),
    "the deadline passed with the minimum": (reporting(4, reported=2), 100.0, AGGREGATION),
    "the deadline passed with too few": (reporting(4, reported=1), 100.0, ABANDONED),
    "all have ended with the minimum": (reporting(4, reported=2, settled=2), 1.0, AGGREGATION),
    "all have ended with too few": (reporting(4, reported=1, settled=3), 1.0, ABANDONED),
} | {
    f"a round in {state.value}": (Progress(state, 4, 4, 0, 0.0, 0.0), 1e9, None)
    for state in RoundState
    if state not in (SELECTION, REPORTING)
}


@pytest.mark.parametrize(("progress", "now", "expected"), DUE.values(), ids=DUE)
def test_a_transition_is_due_exactly_when_the_rule_says(
    progress: Progress, now: float, expected: RoundState | None
) -> None:
    found = due_transition(progress, POLICY, now)
    assert (found and found.state) == expected


# The same policy, where every device that is there has had its turn.
ALONE: dict[str, tuple[Progress, RoundState | None]] = {
    "nobody came": (selecting(0, since=None), None),
    "some are still at work": (selecting(2, settled=1), None),
    "all gave up": (selecting(2, settled=2), ABANDONED),
    "some reported, too few": (selecting(2, reported=1, settled=1), None),
    "enough reported": (selecting(3, reported=2, settled=1), REPORTING),
    "all reported": (selecting(2, reported=2), REPORTING),
    "no longer selecting": (reporting(4, reported=2, settled=1), None),
}


@pytest.mark.parametrize(("progress", "expected"), ALONE.values(), ids=ALONE)
def test_a_round_does_not_wait_for_devices_that_are_not_there(progress: Progress, expected: RoundState | None) -> None:
    found = due_transition(progress, POLICY, 0.0, others_may_come=False)
    assert (found and found.state) == expected
    waiting = due_transition(progress, POLICY, 0.0)
    assert waiting is None


# Rounds of 4 reports, of 9 devices at work: whether any other is there, and what is due whatever the time.
ASYNCHRONOUS = RoundPolicy(cohort=4, minimum_reports=2, concurrency=9, reporting_deadline_seconds=100)
DUE_WHILE_ASYNCHRONOUS: dict[str, tuple[Progress, bool, RoundState | None]] = {
    "nobody came": (selecting(0, since=None), True, None),
    "all places are taken": (selecting(9), True, None),
    "one report is missing": (selecting(12, reported=3), True, None),
    "all reports came": (selecting(12, reported=4), True, REPORTING),
    "nobody is at work, nor comes": (selecting(5, reported=3, settled=2), False, REPORTING),
    "too few for that": (selecting(5, reported=1, settled=4), False, None),
    "who is at work is waited for": (selecting(5, reported=3, settled=1), False, None),
    "all reports came and others are at work": (reporting(12, reported=4), True, AGGREGATION),
    "nobody was at work": (reporting(5, reported=3, settled=2), False, AGGREGATION),
}


@pytest.mark.parametrize(
    ("progress", "others", "expected"), DUE_WHILE_ASYNCHRONOUS.values(), ids=DUE_WHILE_ASYNCHRONOUS
)
def test_no_deadline_ends_an_asynchronous_round(progress: Progress, others: bool, expected: RoundState | None) -> None:
    for now in (0.0, 50.0) if progress.state is REPORTING else (0.0, 1e9):
        found = due_transition(progress, ASYNCHRONOUS, now, others_may_come=others)
        assert (found and found.state) == expected


def test_an_asynchronous_round_that_nobody_works_for_waits_for_others_as_long_as_a_selection() -> None:
    deadline = ASYNCHRONOUS.selection_deadline_seconds
    idle, too_few = selecting(5, reported=3, settled=2), selecting(5, reported=1, settled=4)
    assert due_transition(idle, ASYNCHRONOUS, deadline - 1) is None
    assert due_transition(idle, ASYNCHRONOUS, deadline) == Transition(REPORTING)
    assert due_transition(too_few, ASYNCHRONOUS, deadline) is None


def test_a_device_of_an_asynchronous_round_has_its_own_deadline() -> None:
    left = [rounds.seconds_left(selecting(5), ASYNCHRONOUS, 20.0, now) for now in (20.0, 90.0, 1e6)]
    assert left == [100, 30, 0]


def test_a_round_whose_devices_all_gave_up_says_so() -> None:
    found = due_transition(selecting(2, settled=2), POLICY, 0.0, others_may_come=False)
    assert found == Transition(
        ABANDONED, "2 devices were selected, all that are there, 2 of them gave up; 2 reports are needed"
    )


@given(st.lists(st.sampled_from(RoundState), max_size=30))
def test_rounds_that_are_abandoned_in_a_row_begin_ever_later(states: list[RoundState]) -> None:
    rest = rounds.rest_seconds(states, POLICY)
    assert 0 <= rest <= rounds.rest_seconds([ABANDONED, *states], POLICY) <= POLICY.selection_deadline_seconds
    assert rounds.rest_seconds([RoundState.COMPLETED, *states], POLICY) == 0


def test_after_two_abandoned_rounds_the_rests_double() -> None:
    rests = [rounds.rest_seconds([ABANDONED] * count, POLICY) for count in range(8)]
    assert rests == [0, 0, 1, 2, 4, 8, 10, 10]


def test_an_abandoned_round_says_why() -> None:
    assert due_transition(selecting(1), POLICY, 10.0) == Transition(
        ABANDONED, "1 devices were selected in 10 s; 2 reports are needed"
    )
    late = due_transition(reporting(4, reported=1), POLICY, 100.0)
    assert late == Transition(ABANDONED, "1 devices reported in 100 s; 2 are needed")
    early = due_transition(reporting(4, settled=4), POLICY, 1.0)
    assert early == Transition(ABANDONED, "0 devices reported and no device is left; 2 are needed")


LEFT = {
    "the first device": (selecting(0, since=None), 50.0, 110.0),
    "a later device": (selecting(1), 4.0, 106.0),
    "the device that fills the cohort": (reporting(4), 0.0, 100.0),
    "a device that asks again": (reporting(4), 99.0, 1.0),
    "a device that asks too late": (reporting(4), 1e6, 0.0),
}


@pytest.mark.parametrize(("progress", "now", "expected"), LEFT.values(), ids=LEFT)
def test_a_device_is_told_how_long_it_has(progress: Progress, now: float, expected: float) -> None:
    assert rounds.seconds_left(progress, POLICY, now, now) == expected


@given(
    st.sampled_from([SELECTION, REPORTING]),
    st.lists(st.integers(0, 6), min_size=3, max_size=3),
    st.lists(st.integers(1, 6), min_size=3, max_size=3).map(sorted),
    st.floats(0, 300),
)
def test_whatever_is_due_is_legal_and_time_leaves_nobody_waiting(
    state: RoundState, counts: list[int], limits: list[int], now: float
) -> None:
    policy = RoundPolicy(
        minimum_reports=limits[0],
        report_goal=limits[1],
        cohort=limits[2],
        selection_deadline_seconds=10,
        reporting_deadline_seconds=100,
    )
    reported, settled = counts[0], counts[1]
    progress = Progress(state, sum(counts), reported, settled, 0.0, 0.0)
    found = due_transition(progress, policy, now)
    assert found is None or found.state in TRANSITIONS[state]
    assert found is not None or now < 100
    if found is not None and found.state is AGGREGATION:
        assert reported >= policy.minimum
