"""How one data set is dealt to clients: by who wrote it, or unevenly on purpose.

Each gives a `ClientData`; with the same seed the same one.
"""

import numpy as np

from federated.simulation.datasets.client_data import ClientData
from federated.simulation.datasets.sources import from_arrays
from federated.simulation.errors import DataError
from wire.tensors import Array


def partition_by_client(x: Array, y: Array, client: Array) -> ClientData:
    """A client for every value in `client`: the natural way, where the data says whose it is."""
    return from_arrays(x, y, client)


def partition_by_dirichlet(
    x: Array, y: Array, num_clients: int, *, alpha: float = 0.5, seed: int = 0, min_examples: int = 1
) -> ClientData:
    """Label skew: each class is dealt by proportions drawn from Dir(α); the smaller α, the fewer classes a client has.

    Hsu, Qi and Brown, "Measuring the Effects of Non-Identical Data Distribution for Federated Visual Classification"
    (2019), dealt class by class as in Yurochkin et al., "Bayesian Nonparametric Federated Learning" (2019). Drawn anew
    until every client has `min_examples`.

    Raises:
        DataError: there are too few examples, or α is not positive.
    """
    _check(y, num_clients, min_examples)
    if alpha <= 0:
        raise DataError(f"alpha is more than 0, found {alpha}")
    random = np.random.default_rng(seed)
    for _ in range(_MOST_DRAWS):
        owner = np.empty(len(y), np.int64)
        for label in np.unique(y):
            rows = random.permutation(np.flatnonzero(y == label))
            shares = np.cumsum(random.dirichlet(np.full(num_clients, alpha)))[:-1]
            for client, part in enumerate(np.split(rows, (shares * len(rows)).astype(int))):
                owner[part] = client
        if np.bincount(owner, minlength=num_clients).min() >= min_examples:
            return _dealt(x, y, owner, num_clients)
    raise DataError(
        f"after {_MOST_DRAWS} draws with alpha {alpha} some client still had fewer than {min_examples} examples",
        fix="take a larger alpha, fewer clients, or min_examples=0",
    )


def partition_by_shards(
    x: Array, y: Array, num_clients: int, *, shards_per_client: int = 2, seed: int = 0
) -> ClientData:
    """Label skew: the examples sorted by label, cut into equal shards, and so many shards dealt to each client.

    McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data" (2017), section 3.

    Raises:
        DataError: there are fewer examples than shards.
    """
    count = num_clients * shards_per_client
    _check(y, num_clients, shards_per_client)
    random = np.random.default_rng(seed)
    shards = np.array_split(np.argsort(y, kind="stable"), count)
    owner = np.empty(len(y), np.int64)
    for place, shard in enumerate(random.permutation(count)):
        owner[shards[shard]] = place // shards_per_client
    return _dealt(x, y, owner, num_clients)


def partition_by_quantity(
    x: Array, y: Array, num_clients: int, *, alpha: float = 1.0, seed: int = 0, min_examples: int = 1
) -> ClientData:
    """Quantity skew: shuffled examples, dealt by proportions drawn from Dir(α), every client having `min_examples`.

    Raises:
        DataError: there are too few examples, or α is not positive.
    """
    _check(y, num_clients, min_examples)
    if alpha <= 0:
        raise DataError(f"alpha is more than 0, found {alpha}")
    random = np.random.default_rng(seed)
    spare = len(y) - num_clients * min_examples
    extra = random.multinomial(spare, random.dirichlet(np.full(num_clients, alpha)))
    owner = random.permutation(np.repeat(np.arange(num_clients), extra + min_examples))
    return _dealt(x, y, owner, num_clients)


_MOST_DRAWS = 100


def _check(y: Array, num_clients: int, each: int) -> None:
    if num_clients < 1 or np.ndim(y) != 1 or len(y) < num_clients * each:
        raise DataError(
            f"{np.size(y)} examples cannot be dealt to {num_clients} clients of at least {each}; "
            "labels are one integer an example"
        )


def _dealt(x: Array, y: Array, owner: Array, num_clients: int) -> ClientData:
    """Each client's examples; names have leading zeros, so that they sort as numbers do."""
    width = len(str(num_clients - 1))
    rows = {f"{client:0{width}d}": np.flatnonzero(owner == client) for client in range(num_clients)}
    return ClientData(list(rows), lambda name: (x[rows[name]], y[rows[name]]))
