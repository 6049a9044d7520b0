"""Whatever devices, workers, time and crashes do, no promise is broken: on SQLite and on PostgreSQL.

A machine that tries at random: devices check in, report, repeat themselves and fall silent; workers claim sums, die
with them, and come back when they were given up; transactions are lost before their commit, answers after it. What the
machine knows of it all is one thing: which updates were acknowledged, and when. From these alone it works out every
round anew, in one go, and compares bits. Another machine does the same with asynchronous rounds, in which updates count
that were begun some rounds before.
"""

import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import Connection, Engine

from orchestrator.attendance import Attendance
from orchestrator.db import queries
from orchestrator.db.records import DeviceRecord, RoundRecord
from orchestrator.domain import sums
from orchestrator.domain.paging import MOST_ROWS, PageRequest
from orchestrator.domain.rounds import ACCEPTS_REPORTS, OPEN, RoundState
from orchestrator.domain.tasks import TaskState
from orchestrator.errors import ConflictError
from orchestrator.services import chores, reporting, round_clock
from orchestrator.services.aggregation import Aggregator, RoundResult
from orchestrator.services.chores import Claim, ShardClaim
from orchestrator.storage.folder import FolderStore
from plans import bundle, server
from plans.accumulators.work import WorkAccumulator
from plans.program import Program
from tests.golden.make_plans import LINEAR
from tests.orchestrator.device import METRICS, update_of
from tests.orchestrator.rows import add_devices, answer_to, task_in, task_of
from tests.plans.linear import PLAN, TRAIN
from tests.postgresql import PostgresqlServer, engine_on
from wire import tensors
from wire.messages import Assignment, Outcome, Report, Resource, UpdateManifest
from wire.operator_messages import RoundPolicy
from wire.tensors import Array

DEVICES = 7
POLICY = RoundPolicy(
    rounds=3,
    cohort=5,
    report_goal=4,
    minimum_reports=2,
    selection_deadline_seconds=20,
    reporting_deadline_seconds=40,
)
ASYNCHRONOUS = RoundPolicy(
    rounds=4, cohort=3, minimum_reports=2, concurrency=4, reporting_deadline_seconds=40, maximum_staleness=2
)
SERVER = Program(PLAN.server)
VALUES = st.tuples(*[st.integers(-8, 8).map(float)] * 3, st.integers(1, 5).map(float))


@dataclass(frozen=True)
class Acknowledged:
    """A report that a device knows to be durable.

    Attributes:
        selected_in: the number of the round that selected the device.
        counted_in: the id of the round that must count it; None while it waits for one.
    """

    device_id: str
    message: Report
    update: dict[str, Array]
    at: float
    selected_in: int
    counted_in: str | None


class Promises(RuleBasedStateMachine):
    """See the module's description."""

    make_engine: ClassVar[Callable[[ExitStack], Engine]]
    policy: ClassVar[RoundPolicy]

    def __init__(self) -> None:
        super().__init__()
        self.exit = ExitStack()
        self.engine = type(self).make_engine(self.exit)
        folder = Path(self.exit.enter_context(tempfile.TemporaryDirectory(prefix="fedelta-promises-")))
        self.store = FolderStore(folder)
        self.aggregator = Aggregator(self.store)
        self.exit.enter_context(patch.object(sums, "SHARD_UPDATES", 2))
        self.attendance = Attendance()
        self.now = 1000.0
        self.devices: list[DeviceRecord] = []
        self.assigned: dict[str, Assignment] = {}
        self.acknowledged: dict[str, Acknowledged] = {}
        self.claims: list[Claim] = []
        self.completed: dict[int, object] = {}

    @contextmanager
    def transaction(self, lost: bool = False) -> Iterator[Connection]:
        """One transaction; a lost one leaves nothing behind."""
        with self.engine.connect() as tx:
            yield tx
            tx.rollback() if lost else tx.commit()

    @initialize()
    def push(self) -> None:
        plan, first = self.store.put(LINEAR.read_bytes()), self.store.put(tensors.encode(PLAN.initial))
        with self.transaction() as tx:
            queries.populations.add(tx, "default", 0.0)
            self.devices = add_devices(tx, DEVICES)
            queries.tasks.add_plan(tx, plan, PLAN.manifest, 0.0)
            queries.tasks.add(tx, task_of(self.policy, plan_sha256=plan.sha256))
            queries.checkpoints.add(tx, "task", 0, first, 0.0)

    @rule(device=st.integers(0, DEVICES - 1), lost=st.booleans())
    def check_in(self, device: int, lost: bool) -> None:
        found = self.devices[device]
        with self.transaction(lost) as tx:
            reply = answer_to(tx, found, self.attendance, self.now)
            if reply.assignment is not None and not lost:
                self.assigned[found.device_id] = reply.assignment

    @rule(
        values=st.lists(VALUES, min_size=DEVICES, max_size=DEVICES),
        slow=st.sets(st.integers(0, DEVICES - 1), max_size=DEVICES // 2),
        chores=st.integers(0, 3),
    )
    def all_work(self, values: list[tuple[float, float, float, float]], slow: set[int], chores: int) -> None:
        """So that rounds come to their end more often than chance would have it, some without the slow."""
        self.tick(lost=False)
        for device in range(DEVICES):
            self.check_in(device, lost=False)
            assignment = self.assigned.get(self.devices[device].device_id)
            if device not in slow and assignment is not None and assignment.assignment_id not in self.acknowledged:
                self.send(assignment, values[device], lost=False)
            if device % 2:
                self.claim(lost=False)
        for _ in range(chores):
            self.tick(lost=False)
            self.claim(lost=False)
            for claimed in self.claims[-2:]:
                self.finish(claimed)

    @precondition(lambda self: self.assigned)
    @rule(data=st.data(), values=VALUES, lost=st.booleans())
    def report(self, data: st.DataObject, values: tuple[float, float, float, float], lost: bool) -> None:
        self.send(self.assigned[data.draw(st.sampled_from(sorted(self.assigned)))], values, lost)

    def send(self, assignment: Assignment, values: tuple[float, float, float, float], lost: bool) -> None:
        update = update_of(values[:2], values[2], values[3])
        encoded = tensors.encode(update)
        resource = Resource(bundle.digest(encoded), len(encoded))
        incoming = self.store.receive(assignment.assignment_id, resource, 0)
        incoming.write(encoded)
        incoming.finish()
        message = Report(Outcome.COMPLETED, METRICS, UpdateManifest(resource, "signed"))
        self.settle(assignment, message, update, lost)

    @precondition(lambda self: self.acknowledged)
    @rule(data=st.data())
    def report_again(self, data: st.DataObject) -> None:
        """A device that never heard the answer repeats itself, whatever became of the round."""
        assignment_id = data.draw(st.sampled_from(sorted(self.acknowledged)))
        known = self.acknowledged[assignment_id]
        with self.transaction() as tx:
            found = queries.assignments.by_id(tx, assignment_id)
            assert found is not None
            receipt = reporting.settle(tx, found, known.message, self.now).receipt
        assert receipt.update_sha256 == bundle.digest(tensors.encode(known.update))

    @precondition(lambda self: self.assigned)
    @rule(data=st.data(), outcome=st.sampled_from([Outcome.DECLINED, Outcome.FAILED]), lost=st.booleans())
    def give_up(self, data: st.DataObject, outcome: Outcome, lost: bool) -> None:
        assignment = self.assigned[data.draw(st.sampled_from(sorted(self.assigned)))]
        self.settle(assignment, Report(outcome, reason="too hot"), None, lost)

    def settle(self, assignment: Assignment, message: Report, update: dict[str, Array] | None, lost: bool) -> None:
        taking = next((round_.round_id for round_ in self.rounds() if round_.state in ACCEPTS_REPORTS), None)
        with self.transaction(lost) as tx:
            found = queries.assignments.by_id(tx, assignment.assignment_id)
            assert found is not None
            try:
                reporting.settle(tx, found, message, self.now)
            except ConflictError:
                return
            if update is not None and not lost:
                known = Acknowledged(found.device_id, message, update, self.now, found.round.round_number, taking)
                self.acknowledged.setdefault(assignment.assignment_id, known)

    @rule(seconds=st.sampled_from([1.0, 10.0, 45.0, sums.LEASE_SECONDS + 1]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(lost=st.booleans())
    def tick(self, lost: bool) -> None:
        with self.transaction(lost) as tx:
            due = round_clock.tick(tx, self.now)
        if not lost:
            self.open_rounds(due)

    def open_rounds(self, due: round_clock.Due) -> None:
        for task in due.to_open:
            with self.transaction() as tx:
                checkpoint = round_clock.base_checkpoint(tx, task)
            assert checkpoint is not None
            start = self.aggregator.prepare(task, checkpoint.resource)
            for _ in range(2):  # two workers prepared the same
                with self.transaction() as tx:
                    chores.open_round(tx, task.task_id, checkpoint.round_number, start, self.now)
            self.count_what_waited(self.rounds()[-1].round_id)

    def count_what_waited(self, round_id: str) -> None:
        """What came while no round was open counts in the next one, the oldest first, as far as it has room."""
        waiting = [(known.at, name) for name, known in self.acknowledged.items() if known.counted_in is None]
        for _, name in sorted(waiting)[: self.policy.cohort]:
            self.acknowledged[name] = replace(self.acknowledged[name], counted_in=round_id)

    @rule(lost=st.booleans())
    def claim(self, lost: bool) -> None:
        for round_ in self.rounds():
            with self.transaction(lost) as tx:
                claimed = chores.claim(tx, round_.round_id, f"worker-{len(self.claims)}", self.now)
            if claimed is not None and not lost:
                self.claims.append(claimed)

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), lost=st.booleans())
    def do_a_chore(self, data: st.DataObject, lost: bool) -> None:
        """Any claim ever made: also one that was given up long ago, or done before by the same slow worker."""
        self.finish(data.draw(st.sampled_from(self.claims[-6:])), lost)

    def done(self, claimed: Claim) -> Resource | RoundResult:
        if isinstance(claimed, ShardClaim):
            return self.aggregator.sum_shard(claimed.round, claimed.checkpoint.resource, claimed.contributions)
        partial_sums = [shard.sum for shard in claimed.shards if shard.sum is not None]
        assert len(partial_sums) == len(claimed.shards)
        return self.aggregator.close(
            claimed.round, claimed.checkpoint.resource, partial_sums, claimed.rest, claimed.reports
        )

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        with self.transaction() as tx:
            chores.renew(tx, data.draw(st.sampled_from(self.claims)), self.now)

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def let_go(self, data: st.DataObject) -> None:
        """What is let go of is claimed again at once, while it is still to be done."""
        claimed = data.draw(st.sampled_from(self.claims))
        with self.transaction() as tx:
            if chores.let_go(tx, claimed, self.now):
                again = chores.claim(tx, claimed.round.round_id, "heir", self.now)
                assert again is not None
                self.claims.append(again)

    def rounds(self) -> tuple[RoundRecord, ...]:
        with self.transaction() as tx:
            return queries.rounds.of_task(tx, "task", PageRequest(MOST_ROWS)).rows

    @invariant()
    def acknowledged_updates_are_counted_once(self) -> None:
        """Every completed round is, to the bit, what its acknowledged updates come to, and none of them is missing."""
        for round_ in self.rounds():
            of_this = [known for known in self.acknowledged.values() if known.counted_in == round_.round_id]
            assert round_.progress.reported == len(of_this) == len({known.device_id for known in of_this})
            if round_.state is RoundState.COMPLETED:
                assert self.checkpoint(round_.round_number) == self.expected(round_, of_this)

    @invariant()
    def a_completed_round_never_changes(self) -> None:
        task = task_of(self.policy)  # the task itself may have ended meanwhile
        for round_ in self.rounds():
            if round_.state not in OPEN:
                found = replace(round_, task=task)
                assert self.completed.setdefault(round_.round_number, found) == found

    @invariant()
    def no_cohort_is_too_large(self) -> None:
        if not self.policy.is_asynchronous:
            assert all(round_.progress.places_taken <= self.policy.cohort for round_ in self.rounds())
            return
        with self.transaction() as tx:
            assert queries.assignments.count_out(tx, "task") <= self.policy.places
        assert all(round_.progress.reported <= self.policy.cohort for round_ in self.rounds())

    def checkpoint(self, round_number: int) -> bytes:
        with self.transaction() as tx:
            kept = queries.checkpoints.numbered(tx, "task", round_number)
        assert kept is not None
        return self.store.read(kept.resource.sha256)

    def expected(self, round_: RoundRecord, counted: list[Acknowledged]) -> bytes:
        running = WorkAccumulator(TRAIN, self.policy.cohort)
        for known in counted:
            weight = np.float32((1 + round_.round_number - known.selected_in) ** -0.5)
            running.accumulate({**known.update, **{name: known.update[name] * weight for name in ("w", "b")}})
        before = tensors.decode_as(PLAN.manifest.state_specs, self.checkpoint(round_.reads_round))
        updated = server.update(SERVER, PLAN.manifest, TRAIN, before, running.finalize())
        return tensors.encode(updated.state)

    def teardown(self) -> None:
        """When everybody has gone, time and one worker bring every round that had a device to its end."""
        try:
            if self.devices:
                for _ in range(12):
                    self.now += 61.0
                    self.tick(lost=False)
                    self.claim(lost=False)
                    for claimed in self.claims[-6:]:
                        self.finish(claimed)
                event(f"rounds completed: {sum(one.state is RoundState.COMPLETED for one in self.rounds())}")
                event(f"shards: {sum(isinstance(claimed, ShardClaim) for claimed in self.claims)}")
                event(f"stale reports: {sum(map(self.is_stale, self.acknowledged.values()))}")
                left = [round_ for round_ in self.rounds() if round_.state in OPEN]
                assert all(self.has_nothing_to_lose(round_) for round_ in left)
                with self.transaction() as tx:
                    has_ended = task_in(tx).state is TaskState.COMPLETED
                assert has_ended or all(known.counted_in is not None for known in self.acknowledged.values())
                self.acknowledged_updates_are_counted_once()
        finally:
            self.exit.close()

    def has_nothing_to_lose(self, round_: RoundRecord) -> bool:
        progress = round_.progress
        if self.policy.is_asynchronous:  # its reports are not lost by waiting for devices that may come
            return progress.outstanding == 0 and progress.reported < self.policy.goal
        return progress.assigned == 0

    def is_stale(self, known: Acknowledged) -> bool:
        numbers = {round_.round_id: round_.round_number for round_ in self.rounds()}
        return known.counted_in is not None and numbers[known.counted_in] > known.selected_in

    def finish(self, claimed: Claim, lost: bool = False) -> None:
        result = self.done(claimed)
        with self.transaction(lost) as tx:
            if isinstance(claimed, ShardClaim):
                assert isinstance(result, Resource)
                chores.settle_shard(tx, claimed, result)
            else:
                assert isinstance(result, RoundResult)
                chores.complete_round(tx, claimed, result, self.now)


MACHINE = settings(max_examples=12, stateful_step_count=30, suppress_health_check=list(HealthCheck), deadline=None)


POLICIES = pytest.mark.parametrize("policy", [POLICY, ASYNCHRONOUS], ids=["rounds", "asynchronous rounds"])


@POLICIES
def test_on_sqlite(migrated: Path, policy: RoundPolicy) -> None:
    def make(exit_: ExitStack) -> Engine:
        folder = exit_.enter_context(tempfile.TemporaryDirectory(prefix="fedelta-promises-"))
        shutil.copy(migrated, Path(folder) / "fedelta.db")
        return exit_.enter_context(engine_on(f"sqlite:///{folder}/fedelta.db"))

    run(make, policy)


@POLICIES
def test_on_postgresql(postgresql: PostgresqlServer, policy: RoundPolicy) -> None:
    def make(exit_: ExitStack) -> Engine:
        name = uuid.uuid4().hex
        url = postgresql.create(name, template="migrated")
        exit_.callback(postgresql.drop, name)
        return exit_.enter_context(engine_on(url))

    run(make, policy)


def run(make: Callable[[ExitStack], Engine], policy: RoundPolicy) -> None:
    machine: Any = type("Machine", (Promises,), {"make_engine": staticmethod(make), "policy": policy})
    machine.TestCase.settings = MACHINE
    machine.TestCase().runTest()
