"""Whatever devices do, and in whatever order, a round ends, and counts nobody twice and nobody more than its cohort."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from orchestrator.attendance import Attendance
from orchestrator.db import queries
from orchestrator.domain.assignments import AssignmentState
from orchestrator.domain.rounds import ACCEPTS_REPORTS, RoundState
from orchestrator.services import round_clock
from tests.orchestrator.rows import add_devices, add_round, answer_to, round_of
from wire.operator_messages import RoundPolicy

DEVICES = 5
POLICIES = st.builds(
    lambda counts: RoundPolicy(
        minimum_reports=counts[0],
        report_goal=counts[1],
        cohort=counts[2],
        selection_deadline_seconds=10,
        reporting_deadline_seconds=20,
    ),
    st.lists(st.integers(1, 4), min_size=3, max_size=3).map(sorted),
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["check_in", "reported", "declined", "failed", "wait"]),
        st.integers(0, DEVICES - 1),
        st.floats(0, 15),
    ),
    max_size=14,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(POLICIES, STEPS)
def test_a_round_ends_whatever_its_devices_do(
    tx: Connection, policy: RoundPolicy, steps: list[tuple[str, int, float]]
) -> None:
    now, assigned, attendance = 0.0, dict[str, str](), Attendance()
    with tx.begin():
        add_round(tx, policy)
        devices = add_devices(tx, DEVICES)
        for step, index, seconds in steps:
            now += seconds
            device = devices[index]
            match step:
                case "wait":
                    round_clock.advance(tx, "round", now)
                case "check_in":
                    reply = answer_to(tx, device, attendance, now)
                    if reply.assignment is not None:
                        given_before = assigned.setdefault(device.device_id, reply.assignment.assignment_id)
                        assert reply.assignment.assignment_id == given_before
                case _:
                    report(tx, assigned.get(device.device_id), AssignmentState(step), now)
            assert round_of(tx).progress.assigned == len(assigned) <= policy.cohort
        for seconds in (policy.selection_deadline_seconds, policy.reporting_deadline_seconds):
            now += seconds
            round_clock.tick(tx, now)
        check_ended(tx, policy, len(assigned))
        tx.rollback()


def report(tx: Connection, assignment_id: str | None, state: AssignmentState, now: float) -> None:
    """End an assignment as the reporting use case does, if it is still out."""
    found = None if assignment_id is None else queries.assignments.by_id(tx, assignment_id)
    if found is None or found.round.state not in ACCEPTS_REPORTS:
        return
    counted_in = "round" if state is AssignmentState.REPORTED else None
    if queries.assignments.end(tx, found.assignment_id, state, now, counted_in=counted_in):
        queries.rounds.count_ending(tx, "round", state)
        round_clock.advance(tx, "round", now)


def check_ended(tx: Connection, policy: RoundPolicy, assigned: int) -> None:
    """A round that had a device has ended, or has all it needs to be summed; the others still wait for one."""
    round_, reports = round_of(tx), queries.assignments.contributions(tx, "round")
    if assigned == 0:
        assert round_.state is RoundState.SELECTION
        return
    assert round_.state in (RoundState.AGGREGATION, RoundState.ABANDONED)
    assert round_.progress.reported == len(reports) <= policy.cohort
    assert (round_.state is RoundState.AGGREGATION) == (len(reports) >= policy.minimum)
    left = [queries.assignments.by_id(tx, name) for name in queries.assignments.ids_in(tx, "round")]
    assert all(found is not None and found.state is not AssignmentState.ASSIGNED for found in left)
