"""Devices that die: a round waits for its deadline, and ends all the same."""

import signal

import pytest

from tests.golden.make_plans import LINEAR
from tests.processes.federation import Federation, linear_examples, wait_for
from wire.operator_messages import RoundPolicy, TaskRequest

pytestmark = [pytest.mark.processes, pytest.mark.timeout(120)]


def test_a_round_is_completed_at_its_deadline_with_the_minimum_of_reports(federation: Federation) -> None:
    silent = federation.start_device(federation.enrol("silent", linear_examples(0)))
    policy = RoundPolicy(rounds=1, cohort=2, minimum_reports=1, reporting_deadline_seconds=3)
    silent.send_signal(signal.SIGSTOP)  # it is enrolled and runs, and is held before it can report
    reporting = federation.enrol("reporting", linear_examples(1))
    task = federation.client.push(TaskRequest("linear", policy=policy), plan=LINEAR.read_bytes())
    wait_for(lambda: federation.rounds(task))
    reporting.run("once")
    silent.send_signal(signal.SIGCONT)
    wait_for(lambda: "assigned round 1" in federation.log("silent").read_text())
    silent.kill()
    assert federation.wait_for_end(task).state == "completed"
    (round_,) = federation.rounds(task)
    assert round_.assigned == 2
    assert round_.reported in (1, 2)  # it may have been quicker than the kill
    assert len(federation.client.checkpoints(task.task_id)) == 2


def test_a_round_with_too_few_reports_is_abandoned_and_the_next_begins(federation: Federation) -> None:
    policy = RoundPolicy(rounds=1, cohort=2, selection_deadline_seconds=1)
    task = federation.client.push(TaskRequest("linear", policy=policy), plan=LINEAR.read_bytes())
    wait_for(lambda: federation.rounds(task))
    first = federation.enrol("first", linear_examples(0))
    first.run("once")
    wait_for(lambda: federation.rounds(task)[0].state == "abandoned")
    assert "1 devices were selected in 1 s; 2 reports are needed" in federation.rounds(task)[0].reason
    federation.start_device(first)
    federation.start_device(federation.enrol("second", linear_examples(1)))
    assert federation.wait_for_end(task).state == "completed"
    assert federation.rounds(task)[-1].state == "completed"
