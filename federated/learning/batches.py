"""What users have for clients, as the batches that algorithms go through.

A client is a list of batches `(x, y)`, a `tf.data.Dataset` of such, anything else that can be iterated over, or an
`ExampleBatches`: arrays of examples, which cost nothing to take apart. All batches of a round get one size, that of the
largest; the rest of a short one is padding, whose weight is 0. A cohort that says its `batch_size` is read client by
client, when their turn comes; where it has `client_ids` too, errors call the clients by these.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from federated.language.arrays import to_array
from federated.language.errors import ValueMismatchError
from federated.language.streaming import StackedBatches, StreamedClients
from federated.language.types import SequenceType, TensorType, Type
from wire.tensors import Array

_ROUND_TAKES = (
    "a round takes a list of clients, and each of these is a list of batches (x, y) or a tf.data.Dataset of such; "
    "clients that are to be read one by one are a cohort: fed.simulation.datasets.from_function(…).cohort(…)"
)


@dataclass(frozen=True)
class ExampleBatches:
    """A client's examples, in batches of `batch_size` in their order, the last of which may be short.

    Attributes:
        x, y: an example a row, equally many.
    """

    x: Array
    y: Array
    batch_size: int

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        for start in range(0, len(self.y), self.batch_size):
            yield self.x[start : start + self.batch_size], self.y[start : start + self.batch_size]


class LearningClients(StreamedClients):
    """The clients of a round as stacks of `<x=…,y=…,weight=float32[?]>`.

    Args:
        clients: anything with a length that can be gone through several times.
        size: how many examples a batch has.
        classes: how many there are, where a label is the number of one.
        types: of a batch's x and y, where they are known.
    """

    def __init__(self, clients: Any, size: int, classes: int | None = None, types: Sequence[TensorType] = ()) -> None:
        self._clients = clients
        self._size = size
        self._classes = classes
        self._types = types

    def typed(self, member: Type) -> "LearningClients":
        """See `StreamedClients`."""
        assert isinstance(member, SequenceType)  # noqa: S101 - of batches
        x, y, _ = member.element.children()
        assert isinstance(x, TensorType)  # noqa: S101 - a batch of examples
        assert isinstance(y, TensorType)  # noqa: S101 - a batch of labels
        return LearningClients(self._clients, self._size, self._classes, (x, y))

    @property
    def batch_shapes(self) -> tuple[tuple[int, ...], ...]:
        """See `StreamedClients`: as the type says, or, where it leaves a size open, as the first client has it."""
        shapes = [tuple(type_.shape or ()) for type_ in self._types]
        if any(None in shape[1:] for shape in shapes):
            first = next((one for one in self if len(one)), None)
            shapes = [leaf.shape for leaf in first.leaves[:2]] if first else shapes
        return (*((self._size, *(size or 1 for size in shape[1:])) for shape in shapes), (self._size,))

    def __len__(self) -> int:
        return len(self._clients)

    def __iter__(self) -> Iterator[StackedBatches]:
        names = getattr(self._clients, "client_ids", range(len(self)))
        for name, client in zip(names, self._clients, strict=True):
            yield self._stacked(client, f"client {name!r}")

    def _stacked(self, client: Any, where: str) -> StackedBatches:
        size = self._size
        if isinstance(client, ExampleBatches) and client.batch_size == size:
            runs = [_checked(client.x, client.y, where)] if len(client.y) else []
        else:
            runs = list(_read_all(client, where))
        for _, y in runs:
            _check_labels(y, self._classes, where)
        columns = [
            [_padded(_typed(run[place], type_, f"{where}, {name}"), size) for run in runs]
            for name, (place, type_) in zip("xy", enumerate(self._types), strict=False)
        ]
        leaves = [
            _joined(column) if column else np.zeros((0, *(n or 1 for n in (type_.shape or ())[1:])), type_.dtype)
            for column, type_ in zip(columns, self._types, strict=True)
        ]
        weight = _joined([_weight(len(y), size) for _, y in runs] or [np.zeros(0, np.float32)])
        return StackedBatches((*leaves, weight), size)


def batches_of(clients: Iterable[Any], classes: int | None = None) -> LearningClients:
    """The clients of a round; what has a length and a `batch_size` is read when its turn comes.

    Args:
        classes: how many there are, where a label is the number of one.

    Raises:
        ValueMismatchError: something that is no batch, which it names by client and batch; or clients that cannot be
            counted before they are read.
    """
    if isinstance(clients, Mapping | str) or not (isinstance(clients, Sized) and isinstance(clients, Iterable)):
        raise ValueMismatchError(f"expected a list of clients, found a {type(clients).__name__}", fix=_ROUND_TAKES)
    size = getattr(clients, "batch_size", None)
    if size is not None:
        return LearningClients(clients, int(size), classes)
    read = [
        client if isinstance(client, ExampleBatches) else list(_read_all(client, f"client {number}"))
        for number, client in enumerate(clients)
    ]
    if not any(map(_largest, read)):
        found = f"the {len(read)} clients have no examples" if read else "there are no clients"
        raise ValueMismatchError(found, fix="hold the round with clients that have")
    return LearningClients(read, max(map(_largest, read)), classes)


def _largest(client: ExampleBatches | list[tuple[Array, Array]]) -> int:
    """How many examples its largest batch has."""
    if isinstance(client, ExampleBatches):
        return client.batch_size if len(client.y) else 0
    return max((len(y) for _, y in client), default=0)


def _read_all(client: Any, where: str) -> Iterator[tuple[Array, Array]]:
    if not isinstance(client, Iterable):
        raise ValueMismatchError(f"{where}: expected batches (x, y), found a {type(client).__name__}", fix=_ROUND_TAKES)
    return (_read(batch, f"{where}, batch {place}") for place, batch in enumerate(client))


def _read(batch: Any, where: str) -> tuple[Array, Array]:
    if isinstance(batch, Mapping) and {"x", "y"} <= batch.keys():
        pair: tuple[Any, ...] = (batch["x"], batch["y"])
    elif isinstance(batch, (tuple, list)):
        pair = tuple(batch)
    else:
        raise ValueMismatchError(f"{where}: expected (x, y), found a {type(batch).__name__}", fix=_ROUND_TAKES)
    if len(pair) != 2:  # noqa: PLR2004 - x and y
        raise ValueMismatchError(f"{where}: expected (x, y), found {len(pair)} elements", fix=_ROUND_TAKES)
    x, y = _checked(*pair, where)
    if not len(x):
        raise ValueMismatchError(f"{where}: it has no examples", fix="leave it out; a client may have no batch")
    return x, y


def _checked(x: Any, y: Any, where: str) -> tuple[Array, Array]:
    x, y = np.asarray(x), np.asarray(y)
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y):
        raise ValueMismatchError(
            f"{where}: x has the shape {list(x.shape)} and y {list(y.shape)}; they differ in length",
            fix="give a row of x and of y for each example; a tf.data.Dataset of examples has a method batch",
        )
    return x, y


def _check_labels(y: Array, classes: int | None, where: str) -> None:
    """A label that no class has would train every class away from the example, without a word."""
    if classes is None or not y.size or y.dtype.kind not in "iu":
        return
    smallest, largest = int(y.min()), int(y.max())
    if smallest < 0 or largest >= classes:
        found = smallest if smallest < 0 else largest
        raise ValueMismatchError(
            f"{where} has the label {found}; the model has the classes 0 to {classes - 1}",
            fix="number the labels from 0, or give the model an output for each class",
        )


def _typed(values: Array, type_: TensorType, where: str) -> Array:
    if values.dtype == type_.dtype and values.shape[1:] == (type_.shape or ())[1:]:
        return values
    try:
        return to_array(type_, values, where)
    except ValueMismatchError as error:
        error.fix = "give what the model takes, or a model that takes this"
        raise


def _padded(values: Array, size: int) -> Array:
    """The examples, then the first one again: padding that no computation can stumble over."""
    missing = -len(values) % size
    return np.concatenate([values, np.repeat(values[:1], missing, axis=0)]) if missing else values


@lru_cache(maxsize=64)
def _weight(count: int, size: int) -> Array:
    """1 for each example, 0 for the padding after them; the same array for all clients with so many."""
    weight = (np.arange(count + -count % size) < count).astype(np.float32)
    weight.flags.writeable = False
    return weight


def _joined(arrays: list[Array]) -> Array:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
