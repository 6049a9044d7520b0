"""Clients and what each of them has, read when it is asked for."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from federated.learning.batches import ExampleBatches
from federated.simulation.errors import DataError
from wire.tensors import Array


class Examples(NamedTuple):
    """Some examples: an example a row of `x`, and what belongs to it in `y`."""

    x: Array
    y: Array


class ClientData:
    """The clients of a simulation.

    Args:
        client_ids: their names, each once.
        read: gives a client's examples; it is called whenever they are needed, from one thread.

    Raises:
        DataError: a name is there twice.
    """

    def __init__(self, client_ids: Sequence[str], read: Callable[[str], tuple[Array, Array]]) -> None:
        self.client_ids = tuple(client_ids)
        self._known = frozenset(self.client_ids)
        self._read = read
        if len(self._known) < len(self.client_ids):
            twice = next(name for name in self.client_ids if self.client_ids.count(name) > 1)
            raise DataError(f"the client {twice!r} is there twice", fix="give every client a name of its own")

    def __len__(self) -> int:
        return len(self.client_ids)

    def examples(self, client_id: str) -> Examples:
        """What a client has.

        Raises:
            DataError: there is no such client, or its x and y differ in length.
        """
        if client_id not in self._known:
            some = ", ".join(map(repr, self.client_ids[:3]))
            raise DataError(f"there is no client {client_id!r} among these {len(self)}: {some} …")
        try:
            x, y = (np.asarray(part) for part in self._read(client_id))
        except Exception as error:
            error.add_note(f"while the client {client_id!r} was read, of whom x and y are expected")
            raise
        if x.ndim == 0 or y.ndim == 0 or len(x) != len(y):
            raise DataError(
                f"the client {client_id!r} has x of the shape {list(x.shape)} and y of {list(y.shape)}",
                fix="give a row of x and of y for each example",
            )
        return Examples(x, y)

    def all_examples(self) -> Examples:
        """Everybody's examples, client after client; all in memory."""
        parts = [self.examples(name) for name in self.client_ids]
        if not parts:
            raise DataError("there are no clients")
        return Examples(np.concatenate([part.x for part in parts]), np.concatenate([part.y for part in parts]))

    def batches(
        self,
        client_id: str,
        batch_size: int,
        *,
        seed: int | None = None,
        epochs: int = 1,
        max_examples: int | None = None,
    ) -> ExampleBatches:
        """A client's examples in batches; only the last one of all epochs together may be short.

        Args:
            seed: shuffles anew in every epoch; None for the order they are stored in.
            max_examples: at most so many in an epoch.
        """
        x, y = self.examples(client_id)
        order = _order(len(y), seed, epochs, max_examples)
        return ExampleBatches(x, y, batch_size) if order is None else ExampleBatches(x[order], y[order], batch_size)

    def cohort(
        self,
        client_ids: Sequence[str],
        batch_size: int,
        *,
        seed: int | None = None,
        epochs: int = 1,
        max_examples: int | None = None,
    ) -> "Cohort":
        """Some clients for `process.next`, each of which is read when its turn comes; see `batches`."""
        return Cohort(self, tuple(client_ids), batch_size, seed, epochs, max_examples)

    def create_tf_dataset_for_client(self, client_id: str) -> Any:
        """A client's examples as a `tf.data.Dataset` of `(x, y)`; needs TensorFlow."""
        from federated.backends.client_datasets import dataset_of_examples

        return dataset_of_examples(*self.examples(client_id))

    def preprocess(self, function: Callable[[Array, Array], tuple[Array, Array]]) -> "ClientData":
        """The same clients, whose x and y go through a function when they are read."""
        return ClientData(self.client_ids, lambda name: function(*self.examples(name)))

    def select(self, client_ids: Sequence[str]) -> "ClientData":
        """Only these clients."""
        if missing := [name for name in client_ids if name not in self._known]:
            raise DataError(f"there is no client {missing[0]!r}")
        return ClientData(client_ids, self.examples)

    def train_test_client_split(self, num_test_clients: int, seed: int = 0) -> tuple["ClientData", "ClientData"]:
        """Two halves of the clients, the second of so many; no client is in both."""
        if not 0 < num_test_clients < len(self):
            raise DataError(f"{num_test_clients} of {len(self)} clients cannot be set aside for a test")
        order = np.random.default_rng(seed).permutation(len(self))
        names = [self.client_ids[index] for index in order]
        return self.select(names[num_test_clients:]), self.select(names[:num_test_clients])


@dataclass(frozen=True)
class Cohort:
    """Some clients of a `ClientData`, made by its `cohort`; each time it is gone through they are read anew."""

    data: ClientData
    client_ids: tuple[str, ...]
    batch_size: int
    seed: int | None = None
    epochs: int = 1
    max_examples: int | None = None

    def __post_init__(self) -> None:
        for name, number in (("batch_size", self.batch_size), ("epochs", self.epochs)):
            if number < 1:
                raise DataError(f"{name} is at least 1, found {number}")

    def __len__(self) -> int:
        return len(self.client_ids)

    def __iter__(self) -> Iterator[ExampleBatches]:
        for place, name in enumerate(self.client_ids):
            seed = None if self.seed is None else int(np.random.SeedSequence([self.seed, place]).generate_state(1)[0])
            yield self.data.batches(
                name, self.batch_size, seed=seed, epochs=self.epochs, max_examples=self.max_examples
            )


def _order(count: int, seed: int | None, epochs: int, max_examples: int | None) -> Array | None:
    """The examples' places in the order they are gone through; None where that is all of them as they are stored."""
    kept = count if max_examples is None else min(count, max_examples)
    if seed is None:
        return None if epochs == 1 and kept == count else np.tile(np.arange(kept), epochs)
    random = np.random.default_rng(seed)
    return np.concatenate([random.permutation(count)[:kept] for _ in range(epochs)])
