"""Rounds: their counters, and the one way they change their state."""

from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from orchestrator.db import rows
from orchestrator.db import tables as t
from orchestrator.db.queries import events, paging
from orchestrator.db.records import Lease, RoundRecord
from orchestrator.domain import rounds as round_rules
from orchestrator.domain.assignments import AssignmentState
from orchestrator.domain.paging import Page, PageRequest
from orchestrator.domain.rounds import RoundState
from orchestrator.domain.tasks import TaskState
from wire.messages import Resource

_ORDER = paging.Order((t.rounds.c.round_number,))
_OPEN = [state.value for state in round_rules.OPEN]
# Run for every update, so built once.
_BY_ID = rows.select_rounds().where(t.rounds.c.round_id == bindparam("round"))
_OPEN_ONES = rows.select_rounds().where(t.rounds.c.state.in_(_OPEN)).order_by(t.rounds.c.created_at)
_CLAIM_PLACE = {
    reports_free_places: update(t.rounds)
    .where(t.rounds.c.round_id == bindparam("round"))
    .where(t.rounds.c.state == RoundState.SELECTION.value)
    .where(t.rounds.c.assigned - freed < bindparam("places"))
    .values(
        assigned=t.rounds.c.assigned + 1,
        first_assigned_at=func.coalesce(t.rounds.c.first_assigned_at, bindparam("now")),
    )
    for reports_free_places, freed in (
        (False, t.rounds.c.settled),
        (True, t.rounds.c.settled + t.rounds.c.reported),
    )
}
_COUNT_ENDING = {
    column: update(t.rounds)
    .where(t.rounds.c.round_id == bindparam("round"))
    .values({column: column + bindparam("count")})
    for column in (t.rounds.c.reported, t.rounds.c.settled)
}
_OPEN_IN = (
    rows.select_rounds()
    .where(t.tasks.c.population == bindparam("population"))
    .where(t.tasks.c.state == TaskState.RUNNING.value)
    .where(t.rounds.c.state.in_(_OPEN))
    .order_by(t.rounds.c.created_at, t.rounds.c.round_id)
)


def add(
    tx: Connection,
    round_id: str,
    task_id: str,
    round_number: int,
    *,
    reads_round: int,
    broadcast: Resource,
    temp: Resource | None,
    now: float,
) -> None:
    """Open a round for selection."""
    tx.execute(
        insert(t.rounds).values(
            round_id=round_id,
            task_id=task_id,
            round_number=round_number,
            state=RoundState.SELECTION.value,
            reads_round=reads_round,
            broadcast_sha256=broadcast.sha256,
            broadcast_size_bytes=broadcast.size_bytes,
            temp_sha256=None if temp is None else temp.sha256,
            temp_size_bytes=None if temp is None else temp.size_bytes,
            assigned=0,
            reported=0,
            settled=0,
            created_at=now,
            metrics={},
            reason="",
        )
    )
    events.add(tx, f"round.{RoundState.SELECTION.value}", task_id, now, round_number)


def by_id(tx: Connection, round_id: str) -> RoundRecord | None:
    """The round of this id."""
    row = tx.execute(_BY_ID, {"round": round_id}).first()
    return None if row is None else rows.round_(row)


def of_task(tx: Connection, task_id: str, request: PageRequest, state: RoundState | None = None) -> Page[RoundRecord]:
    """A task's rounds, in their order, all or those in one state."""
    query = rows.select_rounds().where(t.rounds.c.task_id == task_id)
    if state is not None:
        query = query.where(t.rounds.c.state == state.value)
    return paging.page(tx, query, _ORDER, request, rows.round_)


def numbered(tx: Connection, task_id: str, round_number: int) -> RoundRecord | None:
    """A task's round of this number."""
    query = rows.select_rounds().where(t.rounds.c.task_id == task_id)
    row = tx.execute(query.where(t.rounds.c.round_number == round_number)).first()
    return None if row is None else rows.round_(row)


def last_completed(tx: Connection, task_id: str) -> RoundRecord | None:
    """A task's newest completed round."""
    query = (
        rows.select_rounds()
        .where(t.rounds.c.task_id == task_id)
        .where(t.rounds.c.state == RoundState.COMPLETED.value)
        .order_by(t.rounds.c.round_number.desc())
        .limit(1)
    )
    row = tx.execute(query).first()
    return None if row is None else rows.round_(row)


def newest(tx: Connection, task_id: str) -> RoundRecord | None:
    """A task's round of the highest number; None before the first."""
    query = rows.select_rounds().where(t.rounds.c.task_id == task_id)
    row = tx.execute(query.order_by(t.rounds.c.round_number.desc()).limit(1)).first()
    return None if row is None else rows.round_(row)


def open_ones(tx: Connection) -> tuple[RoundRecord, ...]:
    """Every round that has not ended, oldest first."""
    return tuple(rows.round_(row) for row in tx.execute(_OPEN_ONES))


def open_of_task(tx: Connection, task_id: str) -> tuple[RoundRecord, ...]:
    """A task's rounds that have not ended: one at most, as tasks run their rounds in turn."""
    query = rows.select_rounds().where(t.rounds.c.task_id == task_id).where(t.rounds.c.state.in_(_OPEN))
    return tuple(rows.round_(row) for row in tx.execute(query))


def open_in(tx: Connection, population: str) -> tuple[RoundRecord, ...]:
    """The open rounds of a population's running tasks, oldest first."""
    return tuple(rows.round_(row) for row in tx.execute(_OPEN_IN, {"population": population}))


def last_number(tx: Connection, task_id: str) -> int:
    """The last number that a task has given away, to a round or to a rollback; 0 before the first."""
    of_rounds = select(func.max(t.rounds.c.round_number)).where(t.rounds.c.task_id == task_id)
    of_checkpoints = select(func.max(t.checkpoints.c.round_number)).where(t.checkpoints.c.task_id == task_id)
    return max(tx.execute(query).scalar() or 0 for query in (of_rounds, of_checkpoints))


def count_completed(tx: Connection, task_id: str) -> int:
    """How many of a task's rounds were completed."""
    query = select(func.count()).where(t.rounds.c.task_id == task_id)
    return tx.execute(query.where(t.rounds.c.state == RoundState.COMPLETED.value)).scalar() or 0


def last_read(tx: Connection, task_id: str) -> int:
    """The last checkpoint that a completed round of this task started from, 0 before the first."""
    query = select(func.max(t.rounds.c.reads_round)).where(t.rounds.c.task_id == task_id)
    return tx.execute(query.where(t.rounds.c.state == RoundState.COMPLETED.value)).scalar() or 0


def newest_metrics(tx: Connection, task_id: str, count: int) -> list[dict[str, float]]:
    """The metrics of a task's newest completed rounds, newest first."""
    query = (
        select(t.rounds.c.metrics)
        .where(t.rounds.c.task_id == task_id)
        .where(t.rounds.c.state == RoundState.COMPLETED.value)
        .order_by(t.rounds.c.round_number.desc())
        .limit(count)
    )
    return [row.metrics for row in tx.execute(query)]


def last_ended_at(tx: Connection, task_id: str) -> float | None:
    """When a task's last round ended; None before that."""
    return tx.execute(select(func.max(t.rounds.c.ended_at)).where(t.rounds.c.task_id == task_id)).scalar()


def last_states(tx: Connection, task_id: str, count: int) -> list[RoundState]:
    """The states of a task's newest rounds, newest first."""
    query = select(t.rounds.c.state).where(t.rounds.c.task_id == task_id)
    return [RoundState(row.state) for row in tx.execute(query.order_by(t.rounds.c.round_number.desc()).limit(count))]


def move(tx: Connection, round_id: str, source: RoundState, target: RoundState, now: float, **values: Any) -> bool:
    """Take one legal transition, and tell of it; False where the round is not in `source` any more."""
    if target not in round_rules.TRANSITIONS[source]:
        raise ValueError(f"a round never goes from {source} to {target}")
    moved = tx.execute(
        update(t.rounds)
        .where(t.rounds.c.round_id == round_id)
        .where(t.rounds.c.state == source.value)
        .values(state=target.value, **values)
        .returning(t.rounds.c.task_id, t.rounds.c.round_number, t.rounds.c.assigned, t.rounds.c.reported)
    ).first()
    if moved is None:
        return False
    detail = {name: values[name] for name in ("metrics", "reason") if values.get(name)}
    detail |= {"assigned": moved.assigned, "reported": moved.reported}
    events.add(tx, f"round.{target.value}", moved.task_id, now, moved.round_number, **detail)
    return True


def lease(tx: Connection, round_id: str, taken: Lease, now: float) -> bool:
    """Claim the closing of a round; False where another worker has it."""
    claimed = tx.execute(
        update(t.rounds)
        .where(t.rounds.c.round_id == round_id)
        .where(t.rounds.c.state == RoundState.AGGREGATION.value)
        .where(t.rounds.c.lease_token == taken.token - 1)
        .where(func.coalesce(t.rounds.c.lease_until, now) <= now)
        .values(worker=taken.worker, lease_until=taken.until, lease_token=taken.token)
    )
    return claimed.rowcount == 1


def renew(tx: Connection, round_id: str, token: int, until: float) -> bool:
    """Keep the claim of a round's closing for longer; False where it is lost."""
    return _held(tx, round_id, token, {"lease_until": until})


def is_held(tx: Connection, round_id: str, token: int) -> bool:
    """Whether the claim of a round's closing is still good."""
    return _held(tx, round_id, token, {"lease_token": token})


def claim_place(tx: Connection, round_id: str, places: int, now: float, *, reports_free_places: bool = False) -> bool:
    """Take one of a round's places; False where none is left."""
    values = {"round": round_id, "places": places, "now": now}
    return tx.execute(_CLAIM_PLACE[reports_free_places], values).rowcount == 1


def count_ending(tx: Connection, round_id: str, state: AssignmentState, count: int = 1) -> None:
    """Count in a round that assignments ended."""
    column = t.rounds.c.reported if state is AssignmentState.REPORTED else t.rounds.c.settled
    tx.execute(_COUNT_ENDING[column], {"round": round_id, "count": count})


def carry_over(tx: Connection, round_id: str, *, at_work: int, reported: int, now: float) -> None:
    """Count in a new round the devices that earlier ones selected: those at work, and those whose reports waited."""
    values = {"assigned": at_work + reported, "reported": reported, "first_assigned_at": now}
    tx.execute(update(t.rounds).where(t.rounds.c.round_id == round_id).values(values))


def _held(tx: Connection, round_id: str, token: int, values: dict[str, Any]) -> bool:
    changed = tx.execute(
        update(t.rounds)
        .where(t.rounds.c.round_id == round_id)
        .where(t.rounds.c.state == RoundState.AGGREGATION.value)
        .where(t.rounds.c.lease_token == token)
        .values(values)
    )
    return changed.rowcount == 1
