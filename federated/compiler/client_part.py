"""What a device does in a phase: `begin`, the passes over its examples, `finish`.

A client's tensors come first, each a pass of one example that is put into variables. Then come the folds, those over
one sequence together; one that starts from what another came to goes through the examples after it. What a signature
leaves for a later one is a variable, and `begin` and `open` assign whatever a pass starts from.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from federated.compiler.collections import Collections
from federated.compiler.flat import (
    Argument,
    Broadcast,
    Fold,
    HasState,
    Kept,
    Operation,
    Stream,
    Tensor,
    captures,
    in_order,
    sources,
)
from federated.compiler.sections import Schedule, Section, reachable, schedule
from federated.compiler.signatures import Batching, ProgramDraft, Signature
from federated.compiler.verifying import verify_schedule
from federated.language.kept import kept_name
from federated.language.types import TensorType
from plans.manifest import HAS_STATE


@dataclass(frozen=True)
class PassDraft:
    """One way through a client's examples.

    Attributes:
        owner: the path of the federated value whose examples these are.
        inputs: the tensors of an example: {name of the input: (path, type)}.
        is_sequence: whether all examples go through it, or one.
    """

    owner: str
    step: str
    open: str | None
    inputs: dict[str, tuple[str, TensorType]]
    is_sequence: bool


@dataclass(frozen=True)
class ClientPart:
    """A phase's signatures on the device.

    Attributes:
        broadcast: what `begin` takes, by name: tensors at the clients.
        updates: what `finish` gives, by name.
        kept: what `begin` takes of the last time, and `finish` gives for the next one, by name.
    """

    begin: str
    finish: str
    broadcast: dict[str, Tensor]
    passes: tuple[PassDraft, ...]
    updates: dict[str, Tensor]
    kept: dict[str, Tensor]
    program: ProgramDraft

    @property
    def order(self) -> list[str]:
        """The signatures as a host calls them."""
        between = [name for one in self.passes for name in (one.open, one.step) if name is not None]
        return [self.begin, *between, self.finish]


@dataclass(frozen=True)
class _Reading:
    """A pass that puts one example into variables."""

    owner: str
    arguments: tuple[Tensor, ...]


@dataclass(frozen=True)
class _Folding:
    """A pass of some folds over one stream."""

    stream: Stream
    folds: tuple[Fold, ...]

    @property
    def starts(self) -> tuple[Tensor, ...]:
        """What it needs before its first element."""
        return tuple(dict.fromkeys(t for fold in self.folds for t in (*fold.zero, *captures(fold.body))))

    @property
    def totals(self) -> tuple[Tensor, ...]:
        """What it comes to."""
        return tuple(Tensor(fold, index, tensor.type) for fold in self.folds for index, tensor in enumerate(fold.zero))


def client_part(
    updates: dict[str, Tensor], suffix: str, collections: Collections, kept: Sequence[tuple[Tensor, Tensor]] = ()
) -> ClientPart:
    """The signatures that compute some updates.

    Args:
        kept: see `FlatProgram`.
        suffix: what tells the signatures of this phase from those of others.
        collections: whether a sequence's elements are examples, or batches of such.
    """
    everything = reachable((*updates.values(), *(after for _, after in kept)))
    broadcast = tuple(t for t in everything if isinstance(t.operation, Broadcast))
    readings = _readings(everything)
    foldings = _foldings(everything)
    return _Writer(updates, suffix, broadcast, readings, foldings, collections, kept).part()


class _Writer:
    """Writes the signatures of one phase."""

    def __init__(
        self,
        updates: dict[str, Tensor],
        suffix: str,
        broadcast: tuple[Tensor, ...],
        readings: tuple[_Reading, ...],
        foldings: tuple[_Folding, ...],
        collections: Collections,
        kept: Sequence[tuple[Tensor, Tensor]],
    ) -> None:
        self._updates, self._suffix = updates, suffix
        self._collections = collections
        self._broadcast = {f"b__{index}": tensor for index, tensor in enumerate(broadcast)}
        self._kept_before = {_kept_name(before): before for before, _ in kept}
        self._kept_after = {_kept_name(before): after for before, after in kept}
        told = {HAS_STATE: Tensor(HasState(), 0, TensorType(np.float32))} if kept else {}
        self._given = {**self._broadcast, **self._kept_before, **told}
        self._readings, self._foldings = readings, foldings
        self._first = [f for f in foldings if not _is_late(f.starts)]
        self._late = [f for f in foldings if _is_late(f.starts)]
        sections = self._sections()
        self._schedule = schedule(sections)
        verify_schedule(sections, self._schedule)
        self._variables: dict[Tensor, str] = {}

    def part(self) -> ClientPart:
        """The signatures, in the order of the sections."""
        names = {part: f"{part}{self._suffix}" for part in ("begin", "finish")}
        signatures: list[Signature] = []
        passes: list[PassDraft] = []
        signatures.append(self._opening(names["begin"], 0, self._first, self._given))
        section = 1
        for number, reading in enumerate(self._readings):
            inputs = {f"x__{index}": tensor for index, tensor in enumerate(reading.arguments)}
            step = f"read_{number}{self._suffix}"
            signatures.append(Signature(step, inputs=inputs, writes=self._kept(section), batching=Batching.ONE_EXAMPLE))
            passes.append(PassDraft(reading.owner, step, None, _paths(inputs), is_sequence=False))
            section += 1
        for number, folding in enumerate([*self._first, *self._late]):
            opened = None
            if folding in self._late:
                opened = f"open_{number}{self._suffix}"
                signatures.append(self._opening(opened, section, [folding], {}))
                section += 1
            step = f"step_{number}{self._suffix}"
            signature, elements = self._step(step, folding)
            signatures.append(signature)
            passes.append(PassDraft(folding.stream.owner, step, opened, elements, is_sequence=True))
            section += 1
        reads = {self._variable(tensor): tensor for tensor in self._schedule.needs[section]}
        signatures.append(Signature(names["finish"], reads=reads, outputs={**self._updates, **self._kept_after}))
        variables = {name: tensor.type for tensor, name in self._variables.items()}
        program = ProgramDraft(tuple(signatures), variables)
        return ClientPart(
            names["begin"],
            names["finish"],
            self._broadcast,
            tuple(passes),
            self._updates,
            self._kept_before,
            program,
        )

    def _sections(self) -> list[Section]:
        sections = [Section(tuple(self._given.values()), tuple(t for f in self._first for t in f.starts))]
        sections += [Section(reading.arguments) for reading in self._readings]
        for folding in [*self._first, *self._late]:
            if folding in self._late:
                sections.append(Section(roots=folding.starts))
            # What a fold takes from outside is read in every step, so it is needed there, not only to start from.
            outside = tuple(t for fold in folding.folds for t in captures(fold.body))
            sections.append(Section(folding.totals, outside))
        return [*sections, Section(roots=(*self._updates.values(), *self._kept_after.values()))]

    def _opening(self, name: str, section: int, foldings: Sequence[_Folding], inputs: dict[str, Tensor]) -> Signature:
        """A signature after which some passes can begin: their totals are what they start from."""
        starts = {
            self._variable(total): zero
            for folding in foldings
            for total, zero in zip(folding.totals, _zeros(folding), strict=True)
        }
        reads = {self._variable(tensor): tensor for tensor in self._schedule.needs[section]}
        return Signature(name, inputs=inputs, reads=reads, writes=self._kept(section) | starts)

    def _step(self, name: str, folding: _Folding) -> tuple[Signature, dict[str, tuple[str, TensorType]]]:
        """One element of a sequence. Several folds see it as the same inputs, each under its own region's tensors."""
        reads: dict[str, Tensor] = {}
        writes: dict[str, Tensor] = {}
        totals = iter(folding.totals)
        for fold in folding.folds:
            count = len(fold.zero)
            for formal, result in zip(fold.body.parameters[:count], fold.body.results, strict=True):
                variable = self._variable(next(totals))
                reads[variable], writes[variable] = formal, result
            reads |= {self._variable(tensor): tensor for tensor in captures(fold.body)}
        elements = [fold.body.parameters[len(fold.zero) :] for fold in folding.folds]
        inputs = {f"x__{index}": tensor for index, tensor in enumerate(elements[0])}
        aliases = {other: first for others in elements[1:] for first, other in zip(elements[0], others, strict=True)}
        is_whole = self._collections.of(folding.stream.owner).batch_size is not None
        batching = Batching.WHOLE if is_whole else Batching.ONE_EXAMPLE
        paths = {f"x__{index}": element for index, element in enumerate(folding.stream.element)}
        return Signature(name, inputs=inputs, reads=reads, writes=writes, aliases=aliases, batching=batching), paths

    def _kept(self, section: int) -> dict[str, Tensor]:
        """The variables for what a section leaves to later ones."""
        schedule_: Schedule = self._schedule
        crossing = schedule_.crossing(section + 1)
        return {self._variable(t): t for t in crossing if schedule_.homes[t] == section}

    def _variable(self, tensor: Tensor) -> str:
        return self._variables.setdefault(tensor, f"v{len(self._variables)}{self._suffix}")


def _kept_name(tensor: Tensor) -> str:
    assert isinstance(tensor.operation, Kept)  # noqa: S101 - as `FlatProgram` says
    return kept_name(tensor.operation.operator, tensor.operation.leaf)


def _zeros(folding: _Folding) -> tuple[Tensor, ...]:
    return tuple(zero for fold in folding.folds for zero in fold.zero)


def _is_late(starts: Sequence[Tensor]) -> bool:
    """Whether something is only there after a pass."""
    return any(isinstance(t.operation, (Argument, Fold)) for t in reachable(starts))


def _readings(everything: Sequence[Tensor]) -> tuple[_Reading, ...]:
    owners: dict[str, dict[Tensor, None]] = {}
    for tensor in everything:
        if isinstance(tensor.operation, Argument):
            owners.setdefault(tensor.operation.owner, {})[tensor] = None
    return tuple(_Reading(owner, tuple(tensors)) for owner, tensors in sorted(owners.items()))


def _foldings(everything: Sequence[Tensor]) -> tuple[_Folding, ...]:
    folds = dict.fromkeys(t.operation for t in everything if isinstance(t.operation, Fold))
    depths = _depths(everything)
    groups: dict[tuple[int, str], list[Fold]] = {}
    for fold in folds:
        groups.setdefault((depths[fold], fold.stream.path), []).append(fold)
    return tuple(
        _Folding(group[0].stream, tuple(group)) for _, group in sorted(groups.items(), key=lambda item: item[0])
    )


def _depths(everything: Sequence[Tensor]) -> dict[Operation, int]:
    """How many folds there are, one after the other, up to each operation."""
    depths: dict[Operation, int] = {}
    for tensor in in_order(everything, _at_client):
        operation = tensor.operation
        below = max((depths[inner.operation] for inner in _at_client(tensor)), default=0)
        depths[operation] = below + isinstance(operation, Fold)
    return depths


def _at_client(tensor: Tensor) -> tuple[Tensor, ...]:
    """What a tensor is made of, on this side of a broadcast."""
    return () if isinstance(tensor.operation, Broadcast) else sources(tensor.operation)


def _paths(inputs: dict[str, Tensor]) -> dict[str, tuple[str, TensorType]]:
    return {
        name: (tensor.operation.path if isinstance(tensor.operation, Argument) else "", tensor.type)
        for name, tensor in inputs.items()
    }
