"""A report is settled once, when it is durable; one that is not what the plan says changes nothing."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from plans import bundle
from tests.orchestrator.device import METRICS, Device, encoded, update_of
from tests.orchestrator.http import RefusedError
from tests.orchestrator.serving import Population
from wire import codec, routes, statements, tensors
from wire.errors import ErrorCode
from wire.messages import Assignment, Outcome, Report, ReportReceipt, Resource, UpdateManifest

DATA = encoded()


@dataclass(frozen=True)
class Working:
    """A device with an assignment in a round of two."""

    population: Population
    task_id: str
    device: Device
    assignment: Assignment

    def refused(self, message: Report) -> RefusedError:
        with pytest.raises(RefusedError) as error:
            self.device.report(self.assignment.assignment_id, message)
        return error.value

    def reported(self) -> int:
        round_, *_ = self.population.operator.rounds(self.task_id)
        return round_.reported


@pytest.fixture
def working(population: Population) -> Working:
    task = population.push(cohort=2)
    device = population.device()
    return Working(population, task.task_id, device, device.work())


def test_a_report_is_acknowledged_and_counted(working: Working) -> None:
    receipt = working.device.finish(working.assignment, DATA)
    assert receipt == ReportReceipt(working.assignment.assignment_id, Outcome.COMPLETED, bundle.digest(DATA))
    assert working.reported() == 1


def test_the_same_report_again_gets_the_same_receipt_and_counts_once(working: Working) -> None:
    receipt = working.device.finish(working.assignment, DATA)
    before = working.population.orchestrator.dump()
    again = working.device.report(working.assignment.assignment_id, working.device.completed(working.assignment, DATA))
    assert again == receipt
    assert working.population.orchestrator.dump() == before


def test_twenty_reports_at_once_count_once(working: Working) -> None:
    working.device.upload(working.assignment, DATA)
    message = working.device.completed(working.assignment, DATA)
    with ThreadPoolExecutor(20) as pool:
        receipts = list(pool.map(lambda _: working.device.report(working.assignment.assignment_id, message), range(20)))
    assert len(set(receipts)) == 1
    assert working.reported() == 1


def test_two_different_reports_at_once_settle_one_and_refuse_the_other(working: Working) -> None:
    other = encoded(b=9)
    for data in (DATA, other):
        working.device.upload(working.assignment, data)

    def attempt(data: bytes) -> ErrorCode | None:
        try:
            working.device.report(working.assignment.assignment_id, working.device.completed(working.assignment, data))
        except RefusedError as error:
            return error.code
        return None

    with ThreadPoolExecutor(2) as pool:
        assert set(pool.map(attempt, (DATA, other))) == {None, ErrorCode.REPORT_CONFLICT}
    assert working.reported() == 1


CONFLICTS: dict[str, Callable[[Working], Report]] = {
    "another update": lambda w: w.device.completed(w.assignment, encoded(b=9)),
    "no update": lambda w: w.device.completed(w.assignment, None),
    "another outcome": lambda w: Report(Outcome.FAILED, reason="the power went"),
}


@pytest.mark.parametrize("other", CONFLICTS.values(), ids=CONFLICTS)
def test_a_report_is_never_replaced(working: Working, other: Callable[[Working], Report]) -> None:
    working.device.finish(working.assignment, DATA)
    before = working.population.orchestrator.dump()
    refused = working.refused(other(working))
    assert (refused.code, refused.status) == (ErrorCode.REPORT_CONFLICT, 409)
    assert working.population.orchestrator.dump() == before


@pytest.mark.parametrize("outcome", [Outcome.DECLINED, Outcome.FAILED])
def test_a_device_may_end_its_assignment_without_an_update(working: Working, outcome: Outcome) -> None:
    message = Report(outcome, reason="r" * 2000)
    receipt = working.device.report(working.assignment.assignment_id, message)
    assert receipt == ReportReceipt(working.assignment.assignment_id, outcome)
    assert working.device.report(working.assignment.assignment_id, message) == receipt
    assert working.reported() == 0
    refused = working.refused(working.device.completed(working.assignment, DATA))
    assert refused.code is ErrorCode.REPORT_CONFLICT


def with_update(**arrays: Any) -> bytes:
    return tensors.encode({name: array for name, array in (update_of() | arrays).items() if array is not None})


def sent_as_is(data: bytes) -> Callable[[Working], Report]:
    """An update of the right size and digest, whose content is not what the plan says."""

    def send(working: Working) -> Report:
        working.device.upload(working.assignment, data.ljust(len(DATA), b" ")[: len(DATA)])
        return working.device.completed(working.assignment, data.ljust(len(DATA), b" ")[: len(DATA)])

    return send


def same_size(data: bytes) -> bytes:
    """Another file of exactly the size that the plan gives."""
    assert len(data) == len(DATA)
    return data


def signed_by_another(working: Working) -> Report:
    working.device.upload(working.assignment, DATA)
    return working.population.stranger().completed(working.assignment, DATA)


def signed_for_another(**changes: Any) -> Callable[[Working], Report]:
    def send(working: Working) -> Report:
        working.device.upload(working.assignment, DATA)
        return working.device.completed(replace(working.assignment, **changes), DATA)

    return send


def signed_as(signature: str) -> Callable[[Working], Report]:
    def send(working: Working) -> Report:
        working.device.upload(working.assignment, DATA)
        update = UpdateManifest(Resource(bundle.digest(DATA), len(DATA)), signature)
        return working.device.completed(working.assignment, None, update=update)

    return send


def measured(**metrics: float) -> Callable[[Working], Report]:
    def send(working: Working) -> Report:
        working.device.upload(working.assignment, DATA)
        return working.device.completed(working.assignment, DATA, metrics=metrics)

    return send


F2, F1 = np.zeros(2, np.float32), np.zeros((), np.float32)
NAN, INF = float("nan"), float("inf")
REFUSED: dict[str, tuple[Callable[[Working], Report], ErrorCode, int]] = {
    "no update came": (lambda w: w.device.completed(w.assignment, DATA), ErrorCode.UPDATE_MISSING, 409),
    "no update is named": (lambda w: w.device.completed(w.assignment, None), ErrorCode.INVALID_REQUEST, 400),
    "no tensors": (sent_as_is(b"\0" * 8), ErrorCode.INVALID_UPDATE, 422),
    "rubbish": (sent_as_is(b"\xff" * 500), ErrorCode.INVALID_UPDATE, 422),
    "another name": (
        sent_as_is(same_size(tensors.encode({"v": F2, "b": F1, "weight": F1}))),
        ErrorCode.INVALID_UPDATE,
        422,
    ),
    "another shape": (
        sent_as_is(tensors.encode({"w": F1, "b": F2, "weight": F1})),
        ErrorCode.INVALID_UPDATE,
        422,
    ),
    "another dtype": (
        sent_as_is(with_update(w=np.zeros(2, np.int32))),
        ErrorCode.INVALID_UPDATE,
        422,
    ),
    "NaN": (sent_as_is(encoded((NAN, 0))), ErrorCode.NOT_FINITE, 422),
    "infinity": (sent_as_is(encoded(b=-INF)), ErrorCode.NOT_FINITE, 422),
    "a weight of NaN": (sent_as_is(encoded(weight=NAN)), ErrorCode.NOT_FINITE, 422),
    "out of range": (sent_as_is(encoded((2.0**30, 0))), ErrorCode.OUT_OF_RANGE, 422),
    "a negative weight": (sent_as_is(encoded(weight=-1)), ErrorCode.OUT_OF_RANGE, 422),
    "signed by another": (signed_by_another, ErrorCode.INVALID_UPDATE, 422),
    "signed for another round": (signed_for_another(round_number=2), ErrorCode.INVALID_UPDATE, 422),
    "signed for another assignment": (signed_for_another(assignment_id="other"), ErrorCode.INVALID_UPDATE, 422),
    "a signature of zeros": (signed_as(statements.to_base64(bytes(64))), ErrorCode.INVALID_UPDATE, 422),
    "no base64": (signed_as("é"), ErrorCode.INVALID_REQUEST, 400),
    "a metric too few": (measured(loss_sum=1.0), ErrorCode.INVALID_REQUEST, 400),
    "a metric too many": (measured(**METRICS, accuracy=1.0), ErrorCode.INVALID_REQUEST, 400),
    "no metrics": (measured(), ErrorCode.INVALID_REQUEST, 400),
    "metrics of a device that declined": (
        lambda w: Report(Outcome.DECLINED, METRICS),
        ErrorCode.INVALID_REQUEST,
        400,
    ),
    "an update of a device that failed": (
        lambda w: replace(w.device.completed(w.assignment, DATA), outcome=Outcome.FAILED, metrics={}),
        ErrorCode.INVALID_REQUEST,
        400,
    ),
}


@pytest.mark.parametrize(("send", "code", "status"), REFUSED.values(), ids=REFUSED)
def test_a_report_that_is_not_what_the_plan_says_changes_nothing(
    working: Working, send: Callable[[Working], Report], code: ErrorCode, status: int
) -> None:
    message = send(working)
    before = working.population.orchestrator.dump()
    refused = working.refused(message)
    assert (refused.code, refused.status) == (code, status)
    assert working.population.orchestrator.dump() == before
    if message.update is None or refused.code is not ErrorCode.INVALID_UPDATE:
        working.device.finish(working.assignment, DATA)
        assert working.reported() == 1


NOT_FINITE = ["NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 400]


@pytest.mark.parametrize("number", NOT_FINITE, ids=["NaN", "Infinity", "-Infinity", "1e999", "400 digits"])
def test_a_metric_that_is_not_finite_is_refused(working: Working, number: str) -> None:
    working.device.upload(working.assignment, DATA)
    text = codec.dumps(working.device.completed(working.assignment, DATA)).replace(b"2.0", number.encode())
    problem = working.device.call("POST", routes.report(working.assignment.assignment_id), text).problem
    assert problem.code == ErrorCode.INVALID_REQUEST
    assert working.reported() == 0


@pytest.mark.parametrize("assignment_id", ["00000000-0000-0000-0000-000000000000", "..", "%2e%2e%2fx"])
def test_an_assignment_that_is_not_there_takes_no_report(working: Working, assignment_id: str) -> None:
    with pytest.raises(RefusedError) as refused:
        working.device.report(assignment_id, Report(Outcome.DECLINED))
    assert refused.value.code is ErrorCode.NOT_FOUND


def test_another_devices_session_settles_nothing(working: Working) -> None:
    working.device.upload(working.assignment, DATA)
    message = working.device.completed(working.assignment, DATA)
    with pytest.raises(RefusedError) as refused:
        working.population.device().report(working.assignment.assignment_id, message)
    assert refused.value.code is ErrorCode.NOT_FOUND
    assert working.reported() == 0


def test_after_the_deadline_an_assignment_is_closed(population: Population) -> None:
    task = population.push(cohort=2, minimum_reports=1, selection_deadline_seconds=10, reporting_deadline_seconds=20)
    prompt, slow = population.devices(2)
    first, late = prompt.work(), slow.work()
    slow.upload(late, DATA)
    prompt.finish(first, DATA)
    population.orchestrator.clock.sleep(20)
    population.round_in(task.task_id, 1, "completed")
    with pytest.raises(RefusedError) as refused:
        slow.report(late.assignment_id, slow.completed(late, DATA))
    assert (refused.value.code, refused.value.status) == (ErrorCode.ASSIGNMENT_CLOSED, 410)
    assert slow.put(late.assignment_id, DATA).problem.code == ErrorCode.ASSIGNMENT_CLOSED
    assert prompt.report(first.assignment_id, prompt.completed(first, DATA)).outcome is Outcome.COMPLETED
