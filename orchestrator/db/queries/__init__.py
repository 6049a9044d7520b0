"""Every query, by name: `queries.rounds.move(tx, …)`. Nobody else writes SQL, and nobody here commits."""

from orchestrator.db.queries import (
    assignments,
    blobs,
    checkpoints,
    devices,
    operators,
    populations,
    rounds,
    sessions,
    tasks,
    uploads,
)

__all__ = [
    "assignments",
    "blobs",
    "checkpoints",
    "devices",
    "operators",
    "populations",
    "rounds",
    "sessions",
    "tasks",
    "uploads",
]
