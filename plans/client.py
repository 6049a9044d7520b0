"""The client's part of a round: `begin`, the passes in their order, `finish`.

A pass is `open`, where there is one, and a `step` for every batch of its selector. The host, whether a device, a phone
or a simulation, owns this loop and does no arithmetic of its own: it pads a short batch with examples of weight zero,
and everything else happens inside the signatures.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, repeat
from typing import Protocol

import numpy as np

from plans.errors import ProgramError, UnfitExamplesError
from plans.manifest import HAS_STATE, Order, Pass, Port, Selector, Work
from plans.program import FLAG, Program, bind, unbind_all
from wire.tensors import Array, Tensors

_FLAG = np.ones([1], np.float32)
_PORTION_BATCHES, _PORTION_BYTES = 8, 1 << 20  # what is read before it is needed


class Examples(Protocol):
    """Some examples that a device holds. Reading a few must not need memory for all."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def read(self, indices: Sequence[int]) -> dict[str, Array]:
        """The examples at these indices, in this order: for each field an array whose first axis is the example.

        Args:
            indices: a `range` where they follow one another, so that they need not be looked up one by one.
        """
        ...


@dataclass(frozen=True)
class ClientResult:
    """What a client gives back: its update, its metrics, and how many examples in how many batches it went through.

    Attributes:
        device_state: what it is to keep for the next time, if its update is taken; it stays where it is.
    """

    update: dict[str, Array]
    metrics: dict[str, float]
    examples: int
    steps: int
    device_state: dict[str, Array]


def run(
    program: Program,
    work: Work,
    broadcast: Tensors,
    examples: Mapping[str, Examples],
    *,
    seed: int,
    device_state: Tensors | None = None,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> ClientResult:
    """Run one work of a plan over a client's examples.

    Args:
        program: the plan's `client.tflite`; its variables are assigned anew by `begin`.
        broadcast: the logical tensors of `work.broadcast`.
        examples: by collection, all that the passes select from.
        seed: decides the order of the examples, the same in every pass, and every random number that the work draws.
        device_state: what the client kept the last time, the logical tensors of `work.device_state`; None for nothing.
        on_step: called after every batch with the number of batches done and in all; what it raises ends the run.

    Raises:
        ProgramError: the examples or the broadcast do not fit the signatures, or the runtime failed.
    """
    collections = {one.selector.collection for one in work.passes}
    if missing := sorted(collections - examples.keys()):
        raise UnfitExamplesError(f"there is no collection {', '.join(missing)}")
    # Counted once: what is stored meanwhile belongs to no pass, or a second one would see other examples.
    counts = {name: len(examples[name]) for name in collections}
    total = sum(step_count(one.selector, counts[one.selector.collection]) for one in work.passes)
    _begin(program, work, broadcast, seed, device_state)
    done = seen = 0
    for one in work.passes:
        collection = one.selector.collection
        if one.open is not None:
            program.call(one.open, **{FLAG: _FLAG})
        for portion in _portions(one, batches(one.selector, counts[collection], seed)):
            fed = [_batch(one, examples[collection].read(indices), len(indices)) for indices in portion]
            for indices, _ in zip(portion, program.steps(one.step, fed), strict=True):
                done, seen = done + 1, seen + len(indices)
                on_step(done, total)
    outputs = program.call(work.finish, **{FLAG: _FLAG})
    metrics = unbind_all(work.metrics, outputs)
    return ClientResult(
        update=unbind_all(work.update, outputs),
        metrics={name: float(value) for name, value in metrics.items()},
        examples=seen,
        steps=done,
        device_state=unbind_all(work.device_state, outputs),
    )


def batches(selector: Selector, count: int, seed: int) -> Iterator[Sequence[int]]:
    """The indices of every batch that a selector takes from `count` examples, epoch after epoch.

    Shuffled anew in every epoch from the seed, so that the same assignment, run again, does the same.
    """
    kept, size = _kept(selector, count), selector.batch_size
    whole = kept - kept % size if selector.drop_remainder else kept
    for order in _orders(selector, count, seed):
        for start in range(0, whole, size):
            yield order[start : min(start + size, whole)]


def _orders(selector: Selector, count: int, seed: int) -> Iterator[Sequence[int]]:
    """The indices of all examples, once for every epoch."""
    match selector.order:
        case Order.STORED:
            yield from repeat(range(count), selector.epochs)
        case Order.NEWEST:
            yield from repeat(range(count - 1, -1, -1), selector.epochs)
        case Order.SHUFFLED:
            generator = np.random.Generator(np.random.PCG64(seed))
            for _ in range(selector.epochs):
                yield generator.permutation(count).tolist()


def _portions(one: Pass, indices: Iterator[Sequence[int]]) -> Iterator[list[Sequence[int]]]:
    """The batches, as many at a time as are read before they are needed: eight small ones, or one that is large."""
    size = one.selector.batch_size * sum(port.at_runtime.size_bytes for port in one.inputs.values())
    count = max(1, min(_PORTION_BATCHES, _PORTION_BYTES // max(size, 1)))
    while portion := list(islice(indices, count)):
        yield portion


def step_count(selector: Selector, count: int) -> int:
    """How many batches `batches` gives."""
    kept, size = _kept(selector, count), selector.batch_size
    return selector.epochs * (kept // size if selector.drop_remainder else -(-kept // size))


def _kept(selector: Selector, count: int) -> int:
    return count if selector.limit is None else min(count, selector.limit)


def _begin(program: Program, work: Work, broadcast: Tensors, seed: int, device_state: Tensors | None) -> None:
    if missing := sorted(work.broadcast.keys() - broadcast.keys()):
        raise ProgramError(f"the broadcast has no {', '.join(missing)}")
    arguments = {name: bind(port, broadcast[name]) for name, port in work.broadcast.items()}
    if work.seed is not None:
        arguments[work.seed] = np.array([seed % (1 << 31)], np.int32)
    if work.device_state:
        arguments |= _state(work, device_state) | {HAS_STATE: np.array([device_state is not None], np.float32)}
    program.call(work.begin, **(arguments or {FLAG: _FLAG}))


def _state(work: Work, device_state: Tensors | None) -> dict[str, Array]:
    """What the client kept, as `begin` takes it; zeros where that is nothing."""
    if device_state is None:
        return {
            name: np.zeros(port.at_runtime.shape, port.at_runtime.dtype) for name, port in work.device_state.items()
        }
    if missing := sorted(work.device_state.keys() - device_state.keys()):
        raise ProgramError(f"the device state has no {', '.join(missing)}")
    return {name: bind(port, device_state[name]) for name, port in work.device_state.items()}


def _batch(one: Pass, fields: Tensors, count: int) -> dict[str, Array]:
    """What `step` takes for some examples, with zeros after them up to the batch's fixed size."""
    size = one.selector.batch_size
    arguments: dict[str, Array] = {}
    for name, port in one.inputs.items():
        values = _checked(name, port, fields, one.selector.inputs[name])
        if len(values) < size:
            values = np.concatenate([values, np.zeros((size - len(values), *port.spec.shape), values.dtype)])
        arguments[name] = values if port.bound is None else values.reshape(size, *port.bound.shape)
    if one.example_weight is not None:
        arguments[one.example_weight] = (np.arange(size) < count).astype(np.float32)
    return arguments or {FLAG: _FLAG}


def _checked(name: str, port: Port, fields: Tensors, field: str) -> Array:
    """The examples' values for an input, if they fit its port."""
    if field not in fields:
        raise UnfitExamplesError(
            f"the examples have no field {field!r} for the input {name!r}; they have {', '.join(fields)}"
        )
    values = fields[field]
    if values.shape[1:] != port.spec.shape:
        raise UnfitExamplesError(
            f"the field {field!r} has examples {values.dtype}{list(values.shape[1:])}, expected {port.spec}"
        )
    is_small = port.smallest is not None and bool((values < port.smallest).any())
    if is_small or (port.largest is not None and bool((values > port.largest).any())):
        raise UnfitExamplesError(f"the field {field!r} holds values outside {port.smallest} to {port.largest}")
    return values
