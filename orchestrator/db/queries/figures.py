"""How many of everything there are, for the metrics."""

from sqlalchemy import Column, Connection, func, select

from orchestrator.db import tables as t
from orchestrator.domain import rounds as round_rules
from orchestrator.domain.rounds import RoundState
from orchestrator.domain.tasks import TaskState
from orchestrator.metrics import Figures


def read(tx: Connection) -> Figures:
    """Every figure; a state that nothing is in counts 0."""
    rounds = {state.value: 0 for state in RoundState} | _counted(tx, t.rounds.c.state)
    is_open = {state.value for state in round_rules.OPEN}
    revoked, all_devices = tx.execute(select(func.count(t.devices.c.revoked_at), func.count())).one()
    return Figures(
        open_rounds={state: count for state, count in rounds.items() if state in is_open},
        ended_rounds={state: count for state, count in rounds.items() if state not in is_open},
        tasks={state.value: 0 for state in TaskState} | _counted(tx, t.tasks.c.state),
        devices={"active": all_devices - revoked, "revoked": revoked},
    )


def _counted(tx: Connection, state: "Column[str]") -> dict[str, int]:
    query = select(state.label("state"), func.count().label("number")).group_by(state)
    return {row.state: row.number for row in tx.execute(query)}
