"""What nothing needs is deleted, and nothing else: not what rows refer to, nor what somebody is about to refer to."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection, text

from orchestrator.context import Context
from orchestrator.db import queries, tables
from orchestrator.domain.blobs import FIRST, BlobName, Room
from orchestrator.errors import StoreUnavailableError
from orchestrator.services import collecting
from plans import bundle
from tests.golden.make_plans import LINEAR
from tests.orchestrator.device import encoded
from tests.orchestrator.http import Answer
from tests.orchestrator.serving import Orchestrator, Population, until
from wire import codec, routes
from wire.messages import Resource
from wire.operator_messages import TaskRequest

T = TypeVar("T")

DAY = 24 * 3600.0
PLAN = bundle.digest(LINEAR.read_bytes())
# Digests that name no blob of the store.
NAMES_OF_OTHER_THINGS = {
    "answers.api_key_sha256",
    "answers.request_sha256",
    "api_keys.key_sha256",
    "enrolment_tokens.token_sha256",
    "devices.token_sha256",
    "challenges.challenge_sha256",
    "sessions.token_sha256",
    "tasks.plan_sha256",  # refers to plans.sha256
    "assignments.update_sha256",
    "uploads.sha256",
    "blobs.sha256",
}


@pytest.fixture
def still(own: Orchestrator) -> Orchestrator:
    """An orchestrator whose rounds move and whose store is tidied when a test says so."""
    own.restart(worker=False)
    return own


def run(work: Callable[[Context], Coroutine[Any, Any, T]], orchestrator: Orchestrator) -> T:
    return asyncio.run(work(orchestrator.context))


def collect(orchestrator: Orchestrator) -> int:
    return run(collecting.collect_blobs, orchestrator)


def is_kept(orchestrator: Orchestrator, sha256: str) -> bool:
    return orchestrator.context.store.size_bytes(sha256) is not None


def write(orchestrator: Orchestrator, use_case: Callable[[Connection], T]) -> T:
    return orchestrator.context.database.submit(use_case).result()


def push(orchestrator: Orchestrator, population: str) -> Answer:
    """Push the golden plan, whatever comes of it."""
    boundary = "a-boundary"
    parts = {"task": codec.dumps(TaskRequest("linear", population)), 'plan"; filename="a.plan': LINEAR.read_bytes()}
    body = b"".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + data + b"\r\n"
        for name, data in parts.items()
    )
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return orchestrator.connections.call(
        "POST",
        orchestrator.url + routes.TASKS,
        body + f"--{boundary}--\r\n".encode(),
        token=orchestrator.api_key,
        headers=headers,
    )


def test_every_column_that_names_a_blob_keeps_it() -> None:
    columns = {str(column) for table in tables.metadata.sorted_tables for column in table.c if "sha256" in column.name}
    keeping = {str(reference.column) for reference in queries.blobs.REFERENCES}
    assert columns == keeping | NAMES_OF_OTHER_THINGS


def test_a_plan_whose_task_was_refused_goes_after_a_grace(still: Orchestrator) -> None:
    assert push(still, "nowhere").status == 404
    assert is_kept(still, PLAN)
    still.clock.sleep(DAY - 1)
    assert collect(still) == 0
    still.clock.sleep(2)
    assert collect(still) == 2  # the plan and its first state
    assert not is_kept(still, PLAN)
    assert collect(still) == 0


def test_a_plan_that_comes_again_has_its_grace_anew(still: Orchestrator) -> None:
    push(still, "nowhere")
    still.clock.sleep(DAY + 1)
    push(still, "nowhere")
    assert collect(still) == 0


def test_what_rows_refer_to_stays_for_ever(garden: Population) -> None:
    own = garden.orchestrator
    task = garden.push(rounds=2, cohort=1)
    device = garden.device()
    broadcasts = []
    for round_number in (1, 2):
        garden.round_in(task.task_id, round_number, "selection")
        assignment = device.work()
        broadcasts.append(assignment.broadcast.sha256)
        device.finish(assignment, encoded((round_number, 0), 0, 1))
    garden.task_in(task.task_id, "completed")
    checkpoints = [kept.sha256 for kept in own.operator.checkpoints(task.task_id)]
    own.restart(worker=False)
    own.clock.sleep(DAY + 1)
    assert collect(own) == len(set(broadcasts) - set(checkpoints))
    assert all(is_kept(own, sha256) for sha256 in [PLAN, *checkpoints])
    assert not any(is_kept(own, sha256) for sha256 in set(broadcasts) - set(checkpoints))


def test_the_broadcast_of_an_open_round_stays(garden: Population) -> None:
    own = garden.orchestrator
    garden.push(cohort=1)
    device = garden.device()
    assignment = device.work()
    own.restart(worker=False)
    own.clock.sleep(DAY + 1)
    assert collect(own) == 0
    assert is_kept(own, assignment.broadcast.sha256)


def test_more_blobs_than_one_look_takes_are_all_looked_at(still: Orchestrator) -> None:
    orphans = [still.context.store.put(f"orphan {number}".encode()).sha256 for number in range(450)]
    still.clock.sleep(DAY + 1)
    assert collect(still) == 450
    assert not any(is_kept(still, sha256) for sha256 in orphans)


def claim(orchestrator: Orchestrator) -> tuple[BlobName, ...]:
    """Claim what nothing needs, as a collector does that dies before it deletes."""
    now = orchestrator.clock()
    claimed, _ = write(
        orchestrator,
        lambda tx: queries.blobs.claim_unneeded(
            tx, FIRST, 100, now=now, put_before=now - DAY, claimed_before=now - collecting.CLAIM_SECONDS
        ),
    )
    return claimed


def test_a_blob_that_is_being_deleted_is_put_a_little_later(still: Orchestrator) -> None:
    still.population("garden")
    push(still, "nowhere")
    still.clock.sleep(DAY + 1)
    assert len(claim(still)) == 2
    with pytest.raises(StoreUnavailableError, match="being deleted"):
        still.context.store.put(LINEAR.read_bytes())
    answer = push(still, "garden")
    assert (answer.problem.status, answer.problem.code) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert collect(still) == 0  # it is claimed by somebody else
    still.clock.sleep(collecting.CLAIM_SECONDS + 1)
    assert collect(still) == 2
    assert push(still, "garden").status == 201
    assert is_kept(still, PLAN)


def test_nobodys_put_is_deleted_under_them(still: Orchestrator) -> None:
    """A collector races with somebody who puts bytes that are there already, unneeded, and then refers to them."""
    garden = still.population("garden")
    task_id = garden.operator.push(TaskRequest("linear", "garden"), plan=LINEAR.read_bytes()).task_id
    contents = [f"an old state {number}".encode() for number in range(120)]
    for data in contents:
        still.context.store.put(data)
    still.clock.sleep(DAY + 1)
    refused = 0
    with ThreadPoolExecutor(2) as threads:
        for number, data in enumerate(contents, 1):
            barrier = threading.Barrier(2)

            def collect_now(barrier: threading.Barrier = barrier) -> int:
                barrier.wait()
                return collect(still)

            def put_and_refer(data: bytes = data, number: int = number, barrier: threading.Barrier = barrier) -> bool:
                barrier.wait()
                try:
                    resource = still.context.store.put(data)
                except StoreUnavailableError:
                    return False
                write(still, lambda tx: queries.checkpoints.add(tx, task_id, number, resource, still.clock()))
                return True

            collecting_now = threads.submit(collect_now)
            is_referred_to = threads.submit(put_and_refer).result()
            collecting_now.result()
            refused += not is_referred_to
            if is_referred_to:
                assert still.context.store.read(bundle.digest(data)) == data
    assert refused < len(contents)


def test_updates_of_ended_rounds_are_deleted_and_forgotten(garden: Population) -> None:
    task = garden.push(rounds=1, cohort=2)
    first, second = garden.devices(2)
    first.finish(first.work(), encoded())
    second.upload(second.work(), encoded(b=7))
    updates = garden.orchestrator.folder / "store" / "updates"
    assert len(list(updates.iterdir())) == 2
    garden.operator.cancel(task.task_id)
    until(lambda: not list(updates.iterdir()))

    def announced() -> int:
        return garden.orchestrator.context.database.read_now(
            lambda tx: int(tx.execute(text("SELECT count(*) FROM uploads")).scalar() or 0)
        )

    until(lambda: announced() == 0)


def test_an_update_that_no_row_knows_of_is_deleted(still: Orchestrator) -> None:
    data = encoded()
    incoming = still.context.store.receive(
        "an-assignment-of-an-ended-round", Resource(bundle.digest(data), len(data)), 0
    )
    incoming.write(data)
    incoming.stop()
    run(collecting.delete_strays, still)
    assert list(still.context.store.assignments_with_updates()) == []


def test_a_temp_goes_when_its_round_has_ended(still: Orchestrator) -> None:
    temp = still.context.store.put_temp(b"what prepare left")
    still.clock.sleep(DAY + 1)
    assert claim(still) == (BlobName(Room.TEMPS, temp.sha256),)
