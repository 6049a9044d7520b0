"""Every query, by name: `queries.rounds.move(tx, …)`. Nobody else writes SQL, and nobody here commits."""

from orchestrator.db.queries import (
    assignments,
    checkpoints,
    devices,
    operators,
    populations,
    rounds,
    sessions,
    shards,
    tasks,
    traffic,
)

__all__ = [
    "assignments",
    "checkpoints",
    "devices",
    "operators",
    "populations",
    "rounds",
    "sessions",
    "shards",
    "tasks",
    "traffic",
]
