"""Replicas die at random under working devices, and the database restarts: each accepted update is counted once.

Device number i contributes 2^i, so the sum of a round says which devices are in it, and how often: one that is missing
or counted twice makes another number. `FEDELTA_CHAOS_SECONDS` and `FEDELTA_CHAOS_DEVICES` make it longer and larger.
"""

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import pytest

import federated as fed
from device_sdk import enrolment
from device_sdk.examples import ExampleStore
from device_sdk.http import HttpTransport
from device_sdk.state_dir import StateDir
from federated.demo.processes import stop
from plans import bundle
from tests import postgresql
from tests.orchestrator import object_store
from tests.postgresql import PostgresqlServer
from tests.processes.federation import wait_for
from tests.processes.replicas import Replicas
from wire.errors import OperatorError
from wire.operator_messages import EnrolmentTokenRequest, RoundPolicy, TaskRequest, TaskView

SECONDS = float(os.environ.get("FEDELTA_CHAOS_SECONDS", "30"))
DEVICES = int(os.environ.get("FEDELTA_CHAOS_DEVICES", "16"))
DEVICES_A_PROCESS = 8
WAITED_FOR = 0.75
ENDED = {"completed", "abandoned", "cancelled"}

pytestmark = [pytest.mark.processes, pytest.mark.tensorflow, pytest.mark.timeout(SECONDS + 300)]


@fed.federated_computation(fed.FederatedType(np.int64, fed.CLIENTS))
def total(share: fed.Value) -> fed.Value:
    return fed.federated_sum(share)


@pytest.fixture
def database() -> Iterator[PostgresqlServer]:
    with postgresql.running() as server:
        server.create("fedelta")
        yield server


@pytest.fixture
def replicas(database: PostgresqlServer, tmp_path: Path) -> Iterator[Replicas]:
    with object_store.running() as store:
        running = Replicas(tmp_path, database.url("fedelta"), store.new_prefix(), store.environment, webs=3, workers=2)
        try:
            yield running
        finally:
            running.close()


def test_every_accepted_update_is_counted_once(replicas: Replicas, database: PostgresqlServer, tmp_path: Path) -> None:
    ids = [enrolled(replicas, tmp_path / f"device-{number}", 1 << number) for number in range(DEVICES)]
    task = push(replicas)
    with ExitStack() as stack:
        for first in range(0, DEVICES, DEVICES_A_PROCESS):
            numbers = range(first, min(first + DEVICES_A_PROCESS, DEVICES))
            folders = [str(tmp_path / f"device-{number}") for number in numbers]
            log = stack.enter_context((tmp_path / f"devices-{first}.log").open("wb"))
            command = [sys.executable, "-m", "tests.processes.agents", *folders]
            stack.callback(stop, subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT))
        kills = havoc(replicas, database)
        before = wait_for(lambda: completed(replicas, task))
        wait_for(lambda: completed(replicas, task) > before + 1)
    replicas.client.cancel(task.task_id)
    check(replicas, task, ids)
    print(f"{kills} kills in {SECONDS:.0f} s")


def enrolled(replicas: Replicas, folder: Path, share: int) -> str:
    """A device with one example; its id."""
    state = StateDir(folder)
    state.make()
    token = replicas.client.mint_token(EnrolmentTokenRequest()).token
    record = enrolment.enrol(state, HttpTransport(replicas.url), url=replicas.url, token=token, attributes={})
    with closing(ExampleStore(state.examples)) as store:
        store.append("share", {"value": np.array([share], np.int64)})
    return record.device_id


def push(replicas: Replicas) -> TaskView:
    policy = RoundPolicy(
        rounds=1_000_000,
        cohort=DEVICES,
        report_goal=DEVICES - 2,
        minimum_reports=2,
        selection_deadline_seconds=3,
        reporting_deadline_seconds=5,
    )
    return replicas.client.push(TaskRequest("total", policy=policy), plan=bundle.pack(fed.compiled(total).plan))


def completed(replicas: Replicas, task: TaskView) -> int:
    """How many rounds are completed; 0 where the replica that was asked has just been killed."""
    try:
        return replicas.client.task(task.task_id).rounds_completed
    except OperatorError:
        return 0


def havoc(replicas: Replicas, database: PostgresqlServer) -> int:
    """Kill a process at random again and again, and half-way restart the database under all of them; how many died.

    The next one dies when the last one is back, however long this machine takes over that: with all of them starting
    at once nothing would be done that could go wrong. One in four is not waited for, and may die as it starts.
    """
    chance = random.Random(20)  # noqa: S311 - which process dies when
    begun, kills, restarted = time.monotonic(), 0, False
    while (passed := time.monotonic() - begun) < SECONDS:
        time.sleep(chance.uniform(0.5, 3))
        name = chance.choice(replicas.names)
        replicas.kill(name)
        kills += 1
        if not restarted and passed > SECONDS / 2:
            restarted = True
            database.stop("immediate")
            time.sleep(1)
            database.start()
        time.sleep(chance.uniform(0, 2))
        replicas.start(name)
        if chance.random() < WAITED_FOR:
            replicas.wait_until_up(name)
    assert restarted
    return kills


def check(replicas: Replicas, task: TaskView, ids: list[str]) -> None:
    """Every round has ended, and a completed one is the sum of its reports."""
    shares = {device_id: 1 << number for number, device_id in enumerate(ids)}
    rounds = replicas.client.rounds(task.task_id)
    assert {round_.state for round_ in rounds} <= ENDED
    completed = [round_ for round_ in rounds if round_.state == "completed"]
    assert len(completed) > 2
    for round_ in completed:
        reported = replicas.client.assignments(task.task_id, round_.round_number, state="reported")
        expected = sum(shares[one.device_id] for one in reported)
        (found,) = (replicas.client.result(task.task_id, round_.round_number).values or {}).values()
        assert found == expected, round_
    counted, accepted = (sum(one.reported for one in some) for some in (completed, rounds))
    print(f"{len(completed)} of {len(rounds)} rounds completed, of {counted} updates; {accepted} were accepted in all")
