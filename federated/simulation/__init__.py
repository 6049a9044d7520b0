"""Simulation: federated learning on this machine, with the very plan that devices run.

`datasets` says who the clients are and what they have; `train` holds the rounds, `outputs` keep what they came to. The
names are TensorFlow Federated's where it has them: `fed.simulation.datasets.ClientData`,
`fed.simulation.build_uniform_sampling_fn`.
"""

from federated.simulation import datasets, outputs
from federated.simulation.asynchronous import half_normal, train_asynchronously
from federated.simulation.availability import Availability, Trace, always
from federated.simulation.device_states import DeviceStates
from federated.simulation.errors import CheckpointError, DataError, SimulationError
from federated.simulation.evaluation import build_evaluation_fn
from federated.simulation.outputs import plot_runs
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
    "build_evaluation_fn",
    "build_uniform_sampling_fn",
    "datasets",
    "half_normal",
    "outputs",
    "plot_runs",
    "train",
    "train_asynchronously",
]
