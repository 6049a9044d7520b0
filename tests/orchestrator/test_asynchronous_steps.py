"""Which round counts a report of an asynchronous task, and what becomes of those that none can."""

from dataclasses import replace

import pytest
from sqlalchemy import Connection

from orchestrator.attendance import Attendance
from orchestrator.db import queries
from orchestrator.db.records import DeviceRecord, RoundRecord
from orchestrator.domain.assignments import AssignmentState
from orchestrator.domain.paging import MOST_ROWS, PageRequest
from orchestrator.domain.rounds import RoundState
from orchestrator.errors import ConflictError
from orchestrator.services import chores, devices, registry, reporting, round_clock, tasks
from orchestrator.services.aggregation import RoundResult, RoundStart
from orchestrator.services.chores import ClosingClaim
from tests.orchestrator.rows import BLOB, CHECK_IN, add_devices, add_task, answer_to, task_in
from wire.messages import Assignment, CheckIn, Outcome, Report, UpdateManifest
from wire.operator_messages import RoundPolicy


class Steps:
    """The use cases on one database, without bytes: who checks in, who reports, which rounds begin and are summed."""

    def __init__(self, tx: Connection, policy: RoundPolicy, device_count: int = 5) -> None:
        self.tx, self.now, self.attendance = tx, 100.0, Attendance()
        add_task(tx, policy)
        self.devices = add_devices(tx, device_count)
        self.open()

    def open(self) -> None:
        base = round_clock.base_checkpoint(self.tx, task_in(self.tx))
        assert base is not None
        chores.open_round(self.tx, "task", base.round_number, RoundStart(BLOB, None), self.now)

    def check_in(self, device: DeviceRecord, said: CheckIn = CHECK_IN) -> Assignment | None:
        return answer_to(self.tx, device, self.attendance, self.now, said).assignment

    def work(self, *numbers: int) -> list[Assignment]:
        given = [self.check_in(self.devices[number]) for number in numbers]
        return [assignment for assignment in given if assignment is not None]

    def report(self, assignment: Assignment, outcome: Outcome = Outcome.COMPLETED) -> None:
        found = queries.assignments.by_id(self.tx, assignment.assignment_id)
        assert found is not None
        update = UpdateManifest(BLOB, "") if outcome is Outcome.COMPLETED else None
        reporting.settle(self.tx, found, Report(outcome, update=update), self.now)

    def claim(self) -> ClosingClaim:
        claimed = chores.claim(self.tx, self.last.round_id, "worker", self.now)
        assert isinstance(claimed, ClosingClaim)
        return claimed

    def close(self) -> ClosingClaim:
        """Sum the round, and open the next one."""
        claimed = self.claim()
        assert chores.complete_round(self.tx, claimed, RoundResult(BLOB, None, {}), self.now)
        self.open()
        return claimed

    def state(self, assignment: Assignment) -> AssignmentState:
        found = queries.assignments.by_id(self.tx, assignment.assignment_id)
        assert found is not None
        return found.state

    def states(self) -> list[RoundState]:
        return [round_.state for round_ in self.rounds]

    @property
    def rounds(self) -> tuple[RoundRecord, ...]:
        return queries.rounds.of_task(self.tx, "task", PageRequest(MOST_ROWS)).rows

    @property
    def last(self) -> RoundRecord:
        return self.rounds[-1]

    def counted(self, round_: RoundRecord) -> dict[str, int]:
        return {one.assignment_id: one.staleness for one in queries.assignments.contributions(self.tx, round_.round_id)}


POLICY = RoundPolicy(rounds=9, cohort=2, concurrency=4, reporting_deadline_seconds=50)


def test_a_report_that_comes_while_a_sum_is_made_waits_for_the_next_round(tx: Connection) -> None:
    steps = Steps(tx, POLICY)
    one, two, three, four = steps.work(0, 1, 2, 3)
    for assignment in (one, two, three):
        steps.report(assignment)
    first = steps.last
    assert (first.state, first.progress.reported) == (RoundState.AGGREGATION, 2)
    claimed = steps.close()
    assert {report.assignment_id for report in claimed.reports} == {one.assignment_id, two.assignment_id}
    second = steps.last
    assert steps.counted(second) == {three.assignment_id: 1}
    assert (second.progress.assigned, second.progress.reported, second.progress.outstanding) == (2, 1, 1)
    steps.report(four)
    assert steps.counted(second) == {three.assignment_id: 1, four.assignment_id: 1}
    assert steps.last.state is RoundState.AGGREGATION
    assert steps.counted(steps.rounds[0]) == {one.assignment_id: 0, two.assignment_id: 0}


def test_no_round_counts_more_reports_than_its_buffer_holds(tx: Connection) -> None:
    steps = Steps(tx, replace(POLICY, concurrency=5))
    given = steps.work(0, 1, 2, 3, 4)
    for assignment in given:
        steps.now += 1
        steps.report(assignment)
    for expected in (given[:2], given[2:4]):
        assert steps.last.state is RoundState.AGGREGATION
        assert steps.check_in(steps.devices[0]) is None
        assert steps.counted(steps.last).keys() == {assignment.assignment_id for assignment in expected}
        steps.close()
    assert steps.counted(steps.last) == {given[4].assignment_id: 2}
    assert steps.last.state is RoundState.SELECTION


def test_who_gives_up_gives_its_place_away_in_whichever_round(tx: Connection) -> None:
    steps = Steps(tx, POLICY)
    one, two, three, four = steps.work(0, 1, 2, 3)
    steps.report(one)
    steps.report(two)
    steps.report(three, Outcome.DECLINED)
    steps.close()
    assert steps.last.progress.outstanding == 1
    steps.report(four, Outcome.FAILED)
    assert steps.last.progress.outstanding == 0
    assert len(steps.work(0, 1, 2, 4, 3)) == 4


def test_nobody_waits_for_an_update_that_would_be_too_stale(tx: Connection) -> None:
    steps = Steps(tx, replace(POLICY, maximum_staleness=1))
    (slow,) = steps.work(4)
    for round_number in (1, 2):
        assert steps.state(slow) is AssignmentState.ASSIGNED
        for assignment in steps.work(0, 1):
            assert assignment.round_number == round_number
            steps.report(assignment)
        if round_number == 1:
            steps.close()
    assert steps.state(slow) is AssignmentState.EXPIRED
    with pytest.raises(ConflictError, match="takes nothing more from this assignment; check in again"):
        steps.report(slow)


def test_overdue_devices_give_their_places_back(tx: Connection) -> None:
    steps = Steps(tx, POLICY)
    overdue = steps.work(0, 1)
    steps.now += 49
    fresh = steps.work(2, 3)
    assert steps.work(4) == []
    steps.now += 1
    round_clock.tick(tx, steps.now)
    assert [steps.state(one) for one in (*overdue, *fresh)] == [*["expired"] * 2, *["assigned"] * 2]
    assert (steps.last.progress.settled, steps.last.progress.outstanding) == (2, 2)
    assert len(steps.work(4)) == 1


def test_a_round_goes_on_with_the_minimum_where_nobody_else_is_there(tx: Connection) -> None:
    steps = Steps(tx, replace(POLICY, cohort=4, minimum_reports=2), device_count=3)
    one, two, three = steps.work(0, 1, 2)
    steps.report(one)
    steps.report(two)
    assert steps.states() == [RoundState.SELECTION]
    steps.report(three, Outcome.DECLINED)
    assert steps.states() == [RoundState.AGGREGATION]
    assert len(steps.close().reports) == 2


def test_a_round_with_fewer_keeps_them_and_waits(tx: Connection) -> None:
    steps = Steps(tx, POLICY, device_count=1)
    (one,) = steps.work(0)
    steps.report(one)
    steps.now += 1e6
    round_clock.tick(tx, steps.now)
    assert (steps.last.state, steps.last.progress.reported) == (RoundState.SELECTION, 1)


def test_a_tasks_time_ends_a_round_that_nobody_works_for(tx: Connection) -> None:
    steps = Steps(tx, replace(POLICY, time_limit_seconds=1000), device_count=1)
    (one,) = steps.work(0)
    steps.report(one)
    steps.now += 1e6
    round_clock.tick(tx, steps.now)
    assert (steps.last.state, task_in(tx).state) == (RoundState.CANCELLED, "completed")


def test_a_tasks_end_ends_all_that_its_devices_do(tx: Connection) -> None:
    steps = Steps(tx, POLICY)
    early, one, two, three = steps.work(0, 1, 2, 3)
    steps.report(one)
    steps.report(two)
    steps.close()
    tasks.cancel(tx, "task", steps.now)
    for assignment in (early, three):
        assert steps.state(assignment) is AssignmentState.EXPIRED
    assert steps.check_in(steps.devices[0]) is None


def test_a_rollback_counts_nothing_of_the_model_that_was_given_up(tx: Connection) -> None:
    steps = Steps(tx, POLICY)
    one, two, waiting, slow = steps.work(0, 1, 2, 3)
    for assignment in (one, two, waiting):
        steps.report(assignment)
    registry.roll_back(tx, "task", 0, steps.now)
    steps.open()
    assert steps.state(slow) is AssignmentState.EXPIRED
    assert steps.counted(steps.last) == {}
    assert steps.last.progress.assigned == 0
    assert (steps.rounds[0].state, steps.rounds[0].progress.reported) == (RoundState.CANCELLED, 3)


def test_the_updates_of_reports_that_wait_are_kept_until_they_are_counted(tx: Connection) -> None:
    steps = Steps(tx, POLICY)
    one, two, waiting, slow = steps.work(0, 1, 2, 3)
    for assignment in (one, two, waiting, slow):
        queries.uploads.add(tx, assignment.assignment_id, BLOB.sha256, 0.0)
    for assignment in (one, two, waiting):
        steps.report(assignment)
    assert queries.uploads.of_ended_rounds(tx, 9) == ()
    steps.close()
    assert set(queries.uploads.of_ended_rounds(tx, 9)) == {one.assignment_id, two.assignment_id}
    steps.report(slow)
    steps.close()
    assert len(queries.uploads.of_ended_rounds(tx, 9)) == 4


def test_updates_that_wait_for_a_task_that_has_ended_are_of_no_use(tx: Connection) -> None:
    steps = Steps(tx, replace(POLICY, rounds=1))
    one, two, waiting = steps.work(0, 1, 2)
    for assignment in (one, two, waiting):
        queries.uploads.add(tx, assignment.assignment_id, BLOB.sha256, 0.0)
        steps.report(assignment)
    claimed = steps.claim()
    chores.complete_round(tx, claimed, RoundResult(BLOB, None, {}), steps.now)
    round_clock.tick(tx, steps.now)
    assert task_in(tx).state == "completed"
    assert len(queries.uploads.of_ended_rounds(tx, 9)) == 3


def test_a_revoked_devices_place_becomes_free_in_the_round_that_is_open(tx: Connection) -> None:
    steps = Steps(tx, POLICY)
    one, two, _ = steps.work(0, 1, 2)
    steps.report(one)
    steps.report(two)
    steps.close()
    assert steps.last.progress.outstanding == 1
    devices.revoke(tx, steps.devices[2].device_id, steps.now)
    assert steps.last.progress.outstanding == 0


def test_a_device_rests_from_the_round_that_counted_it(tx: Connection) -> None:
    steps = Steps(tx, replace(POLICY, minimum_rounds_between=1))
    (slow,) = steps.work(4)
    for assignment in steps.work(0, 1):
        steps.report(assignment)
    steps.close()
    steps.report(slow)  # in round 2
    (other,) = steps.work(2)
    steps.report(other)
    steps.close()
    assert steps.work(4) == []
    for assignment in steps.work(0, 1):
        steps.report(assignment)
    steps.close()
    assert [assignment.round_number for assignment in steps.work(4)] == [4]


def test_a_task_that_always_has_places_leaves_devices_to_others(tx: Connection) -> None:
    steps = Steps(tx, replace(POLICY, cohort=100, concurrency=1000), device_count=60)
    add_task(tx, RoundPolicy(cohort=3), "other")
    chores.open_round(tx, "other", 0, RoundStart(BLOB, None), steps.now)
    given = [assignment.task_id for assignment in steps.work(*range(60))]
    assert (given.count("other"), given.count("task")) == (3, 57)


def test_paused_tasks_count_what_was_begun(tx: Connection) -> None:
    steps = Steps(tx, POLICY)
    one, _ = steps.work(0, 1)
    tasks.pause(tx, "task")
    assert steps.work(2) == []
    steps.report(one)
    assert steps.last.progress.reported == 1


def test_a_round_does_not_wait_for_ever_for_devices_that_it_would_not_select(tx: Connection) -> None:
    policy = replace(POLICY, cohort=4, minimum_reports=2, attributes={"split": "train"}, selection_deadline_seconds=60)
    steps = Steps(tx, policy)
    for number in (0, 1):
        given = steps.check_in(steps.devices[number], replace(CHECK_IN, attributes={"split": "train"}))
        assert given is not None
        steps.report(given)
    assert steps.check_in(steps.devices[2]) is None  # it is there, and never of those that are selected
    round_clock.tick(tx, steps.now + 59)
    assert steps.states() == [RoundState.SELECTION]
    round_clock.tick(tx, steps.now + 60)
    assert steps.states() == [RoundState.AGGREGATION]


def test_a_deadline_holds_while_no_round_is_open(tx: Connection) -> None:
    steps = Steps(tx, POLICY)
    one, two, late = steps.work(0, 1, 2)
    steps.report(one)
    steps.report(two)
    tasks.pause(tx, "task")
    claimed = steps.claim()
    assert chores.complete_round(tx, claimed, RoundResult(BLOB, None, {}), steps.now)
    round_clock.tick(tx, steps.now + 49)
    before = steps.state(late)
    round_clock.tick(tx, steps.now + 50)
    assert (before, steps.state(late)) == (AssignmentState.ASSIGNED, AssignmentState.EXPIRED)


def test_a_rollback_between_two_rounds_counts_nothing_of_before(tx: Connection) -> None:
    steps = Steps(tx, POLICY)
    one, two, waiting, late = steps.work(0, 1, 2, 3)
    for assignment in (one, two, waiting):
        steps.report(assignment)
    assert chores.complete_round(tx, steps.claim(), RoundResult(BLOB, None, {}), steps.now)
    registry.roll_back(tx, "task", 0, steps.now)
    steps.open()
    assert steps.counted(steps.last) == {}
    assert steps.last.progress.assigned == 0
    assert steps.state(waiting) is AssignmentState.REPORTED
    assert steps.state(late) is AssignmentState.EXPIRED


@pytest.mark.parametrize("policy", [POLICY, RoundPolicy(cohort=1)], ids=["asynchronous", "synchronous"])
def test_a_round_that_was_prepared_before_a_rollback_does_not_begin(tx: Connection, policy: RoundPolicy) -> None:
    steps = Steps(tx, replace(policy, cohort=1))
    (one,) = steps.work(0)
    steps.report(one)
    assert chores.complete_round(tx, steps.claim(), RoundResult(BLOB, None, {}), steps.now)
    base = round_clock.base_checkpoint(tx, task_in(tx))
    assert base is not None
    registry.roll_back(tx, "task", 0, steps.now)
    chores.open_round(tx, "task", base.round_number, RoundStart(BLOB, None), steps.now)
    assert steps.states() == [RoundState.COMPLETED]
    steps.open()
    assert steps.last.reads_round == base.round_number + 1
