"""Simulation: federated learning on this machine, with the very plan that devices run.

`datasets` says who the clients are and what they have; `train` holds the rounds. The names are TensorFlow Federated's
where it has them: `fed.simulation.datasets.ClientData`, `fed.simulation.build_uniform_sampling_fn`.
"""

from federated.simulation import datasets
from federated.simulation.asynchronous import half_normal, train_asynchronously
from federated.simulation.availability import Availability, Trace, always
from federated.simulation.device_states import DeviceStates
from federated.simulation.errors import CheckpointError, DataError, SimulationError
from federated.simulation.results import RoundResult, TrainingResult
from federated.simulation.sampling import build_uniform_sampling_fn
from federated.simulation.training import train

__all__ = [
    "Availability",
    "CheckpointError",
    "DataError",
    "DeviceStates",
    "RoundResult",
    "SimulationError",
    "Trace",
    "TrainingResult",
    "always",
    "build_uniform_sampling_fn",
    "datasets",
    "half_normal",
    "train",
    "train_asynchronously",
]
