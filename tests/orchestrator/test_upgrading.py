"""A database of an earlier revision keeps its rounds, its checkpoints and its devices, and can go back."""

from typing import Any

import pytest
from sqlalchemy import Engine, MetaData, insert, select

from alembic import command
from orchestrator.db import migrate, queries
from orchestrator.domain.paging import MOST_ROWS, PageRequest
from orchestrator.domain.rounds import RoundState
from tests.orchestrator.rows import BLOB, CHECK_IN, SIGNED
from tests.plans.linear import PLAN
from wire import codec
from wire.operator_messages import RoundPolicy

EARLIER = ["0002", "0003", "0004", "0005", "0006"]
ROUND = {
    "round_id": "round",
    "task_id": "task",
    "round_number": 1,
    "state": "completed",
    "reads_round": 0,
    "broadcast_sha256": BLOB.sha256,
    "broadcast_size_bytes": BLOB.size_bytes,
    "assigned": 1,
    "reported": 1,
    "settled": 0,
    "created_at": 3.0,
    "ended_at": 9.0,
    "metrics": {"loss": 0.25},
    "reason": "",
}
ROWS: dict[str, list[dict[str, Any]]] = {
    "api_keys": [{"key_sha256": "ab" * 32, "name": "first", "created_at": 1.0}],
    "populations": [{"name": "default", "created_at": 1.0}],
    "enrolment_tokens": [
        {
            "token_sha256": "cd" * 32,
            "population": "default",
            "uses": 1,
            "uses_left": 0,
            "created_at": 1.0,
            "expires_at": 9.0,
        }
    ],
    "devices": [
        {
            "device_id": "d0",
            "population": "default",
            "algorithm": "ed25519",
            "public_key": b"key",
            "token_sha256": "cd" * 32,
            "enrolled_at": 2.0,
            "last_seen_at": 4.0,
            "check_in": codec.to_json(CHECK_IN),
        }
    ],
    "plans": [
        {
            "sha256": BLOB.sha256,
            "size_bytes": BLOB.size_bytes,
            "manifest": codec.dumps(PLAN.manifest).decode(),
            "created_at": 2.0,
        }
    ],
    "tasks": [
        {
            "task_id": "task",
            "name": "linear",
            "population": "default",
            "plan_sha256": BLOB.sha256,
            "work": "train",
            "policy": codec.to_json(RoundPolicy()),
            "signed_plan": codec.to_json(SIGNED),
            "state": "running",
            "created_at": 2.0,
            "failure": "",
        }
    ],
    "rounds": [ROUND, ROUND | {"round_id": "next", "round_number": 2, "state": "selection", "ended_at": None}],
    "assignments": [
        {
            "assignment_id": "assignment",
            "round_id": "round",
            "device_id": "d0",
            "state": "reported",
            "seed": 7,
            "assigned_at": 4.0,
            "ended_at": 8.0,
            "update_sha256": "ef" * 32,
            "metrics": {"loss": 0.25},
            "reason": "",
        }
    ],
    "checkpoints": [
        {
            "task_id": "task",
            "round_number": number,
            "sha256": BLOB.sha256,
            "size_bytes": BLOB.size_bytes,
            "created_at": 2.0 + number,
        }
        for number in (0, 1)
    ],
    "uploads": [{"assignment_id": "assignment", "sha256": "ef" * 32, "announced_at": 5.0}],
}


@pytest.mark.parametrize("revision", EARLIER)
def test_a_database_of_an_earlier_revision_keeps_what_it_holds(engine: Engine, revision: str) -> None:
    config = migrate.alembic_config(engine)
    command.downgrade(config, revision)
    tables = MetaData()
    tables.reflect(engine)
    with engine.begin() as tx:
        for name, rows in ROWS.items():
            for row in rows if name in tables.tables else ():
                tx.execute(insert(tables.tables[name]).values(**row))
    migrate.upgrade(engine)
    with engine.connect() as tx:
        first, second = queries.rounds.of_task(tx, "task", PageRequest(MOST_ROWS)).rows
        assert (first.state, first.metrics, first.progress.reported) == (RoundState.COMPLETED, {"loss": 0.25}, 1)
        assert (second.state, second.sharded, second.lease_token) == (RoundState.SELECTION, 0, 0)
        assert [kept.round_number for kept in queries.checkpoints.all_of_task(tx, "task")] == [0, 1]
        device = queries.devices.by_id(tx, "d0")
        assert device is not None
        assert (device.public_key, device.check_in) == (b"key", CHECK_IN)
        (brought,) = queries.assignments.contributions(tx, "round")
        assert (brought.assignment_id, brought.update_sha256) == ("assignment", "ef" * 32)
    command.downgrade(config, revision)
    with engine.connect() as tx:
        rounds = tables.tables["rounds"]
        assert tx.execute(select(rounds.c.round_number).order_by(rounds.c.round_number)).scalars().all() == [1, 2]
    migrate.upgrade(engine)
