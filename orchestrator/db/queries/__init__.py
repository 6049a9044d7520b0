"""Every query, by name: `queries.rounds.move(tx, …)`. Nobody else writes SQL, and nobody here commits."""

from orchestrator.db.queries import (
    answers,
    assignments,
    blobs,
    checkpoints,
    devices,
    events,
    figures,
    operators,
    populations,
    rounds,
    sessions,
    shards,
    tasks,
    tokens,
    traffic,
    uploads,
)

__all__ = [
    "answers",
    "assignments",
    "blobs",
    "checkpoints",
    "devices",
    "events",
    "figures",
    "operators",
    "populations",
    "rounds",
    "sessions",
    "shards",
    "tasks",
    "tokens",
    "traffic",
    "uploads",
]
