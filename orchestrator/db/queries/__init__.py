"""Every query, by name: `queries.rounds.move(tx, …)`. Nobody else writes SQL, and nobody here commits."""

from orchestrator.db.queries import (
    answers,
    assignments,
    checkpoints,
    devices,
    events,
    figures,
    labels,
    operators,
    populations,
    rounds,
    sessions,
    tasks,
    tokens,
)

__all__ = [
    "answers",
    "assignments",
    "checkpoints",
    "devices",
    "events",
    "figures",
    "labels",
    "operators",
    "populations",
    "rounds",
    "sessions",
    "tasks",
    "tokens",
]
