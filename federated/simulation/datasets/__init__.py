"""Clients and their examples: where they come from, and how one data set is dealt to many clients."""

from federated.simulation.datasets.client_data import ClientData, Cohort, Examples
from federated.simulation.datasets.known import load_cifar10, load_emnist, load_mnist
from federated.simulation.datasets.partitioning import (
    partition_by_client,
    partition_by_dirichlet,
    partition_by_quantity,
    partition_by_shards,
)
from federated.simulation.datasets.sources import (
    from_arrays,
    from_directory,
    from_function,
    from_npz,
    from_parquet,
    from_sqlite,
    pooled,
)

__all__ = [
    "ClientData",
    "Cohort",
    "Examples",
    "from_arrays",
    "from_directory",
    "from_function",
    "from_npz",
    "from_parquet",
    "from_sqlite",
    "load_cifar10",
    "load_emnist",
    "load_mnist",
    "partition_by_client",
    "partition_by_dirichlet",
    "partition_by_quantity",
    "partition_by_shards",
    "pooled",
]
