"""Optimizers as pure functions of their state, for clients and for servers.

A server's gradient is minus the mean of what its clients changed.
"""

from federated.learning.optimizers.adagrad import build_adagrad
from federated.learning.optimizers.adam import build_adam
from federated.learning.optimizers.optimizer import Optimizer
from federated.learning.optimizers.rmsprop import build_rmsprop
from federated.learning.optimizers.schedule import schedule_learning_rate
from federated.learning.optimizers.sgdm import build_sgdm
from federated.learning.optimizers.yogi import build_yogi

__all__ = [
    "Optimizer",
    "build_adagrad",
    "build_adam",
    "build_rmsprop",
    "build_sgdm",
    "build_yogi",
    "schedule_learning_rate",
]
