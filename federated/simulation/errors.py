"""What a simulation refuses.

FederatedError
└── SimulationError
    ├── DataError        clients' data that cannot be read, or is no data for a client
    └── CheckpointError  a run that cannot be taken up again
"""

from federated.language.errors import FederatedError


class SimulationError(FederatedError):
    """A simulation cannot be held as it was asked for."""


class DataError(SimulationError):
    """Clients' data cannot be read, or is no data for a client."""


class CheckpointError(SimulationError):
    """A run cannot be taken up again."""
