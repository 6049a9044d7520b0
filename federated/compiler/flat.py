"""A computation as tensors and the operations between them: no functions, structures or names are left.

Every operation stands at one placement. What a client computes from a tensor of the server goes through a `Broadcast`,
and what the server computes from the clients' through an `Aggregate`; there is no other way across. An operation
without a placement, such as a constant, is computed wherever it is needed.

Tensors inside the body of a `Fold` belong to its `Region`; they exist once for every element of the sequence.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from federated.language.origin import Origin
from federated.language.placements import CLIENTS, SERVER, Placement
from federated.language.types import TensorType
from plans.manifest import Kind
from wire.tensors import Array


class Kernel(Protocol):
    """What an `Apply` computes; `federated.backends` knows how."""

    @property
    def name(self) -> str:
        """What its author called it."""
        ...

    def emit(self, flat: Sequence[Any]) -> list[Any]:
        """The outputs from the inputs, both as tensors of the library that computes."""
        ...

    def output_types(self, inputs: Sequence[TensorType]) -> list[TensorType]:
        """The types of the outputs for inputs of these types."""
        ...


@dataclass(eq=False)
class Region:
    """The body of a fold, or a function that the server calls.

    Attributes:
        parameters: its tensors that come from outside.
        results: what it gives; both are filled in while it is traced.
    """

    parameters: tuple["Tensor", ...] = ()
    results: tuple["Tensor", ...] = ()


@dataclass(frozen=True, eq=False)
class Constant:
    """A tensor that the program itself holds."""

    value: Array
    origin: Origin | None = None


@dataclass(frozen=True)
class Argument:
    """A tensor of the computation's parameter, at `path`; `owner` is the path of the part of it that it belongs to."""

    path: str
    owner: str = field(compare=False)
    place: Placement
    origin: Origin | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Kept:
    """A tensor that a client kept: number `leaf` of the operator that is number `operator` of those that keep any."""

    operator: int
    leaf: int
    origin: Origin | None = field(default=None, compare=False)


@dataclass(frozen=True)
class HasState:
    """1 at a client that kept something, 0 at one that keeps nothing yet; a float32."""

    origin: Origin | None = field(default=None, compare=False)


@dataclass(frozen=True, eq=False)
class Formal:
    """A parameter of a region."""

    label: str
    origin: Origin | None = None


@dataclass(frozen=True, eq=False)
class Apply:
    """A local computation on some tensors."""

    kernel: Kernel
    inputs: tuple["Tensor", ...]
    place: Placement | None
    origin: Origin | None = None


@dataclass(frozen=True, eq=False)
class Broadcast:
    """A tensor of the server at every client."""

    source: "Tensor"
    origin: Origin | None = None


@dataclass(frozen=True, eq=False)
class Aggregate:
    """The clients' tensors become the server's.

    Attributes:
        values: one output each, of the same type, but for a custom aggregation.
        weight: for a mean, and a robust one; its sum is the last output.
        parameters: for a robust mean, what it is told.
        stddev: for a noised sum, the server's tensor that is the standard deviation of its noise.
        earlier: for one with correlated noise, what is taken away from each value's sum; the noises that are drawn come
            after the values' outputs.
        limits: for secure sums, the bound or the modulus of each value.
        functions: for a custom aggregation, {zero, accumulate, merge, report}.
    """

    name: str
    kind: Kind
    values: tuple["Tensor", ...]
    weight: "Tensor | None" = None
    limits: tuple[int, ...] = ()
    parameters: Mapping[str, float] = field(default_factory=dict)
    stddev: "Tensor | None" = None
    earlier: tuple["Tensor", ...] = ()
    on_zero_weight: str = "error"
    functions: Mapping[str, Region] = field(default_factory=dict)
    origin: Origin | None = None

    @property
    def inputs(self) -> tuple["Tensor", ...]:
        """Every tensor that clients contribute."""
        return self.values if self.weight is None else (*self.values, self.weight)

    @property
    def known(self) -> tuple["Tensor", ...]:
        """The server's tensors that are needed before the clients contribute."""
        return self.earlier if self.stddev is None else (self.stddev, *self.earlier)


@dataclass(frozen=True)
class Stream:
    """A sequence of a client's own examples: the parameter at `path`, a part of the federated value at `owner`.

    Attributes:
        element: the tensors of an element, with their paths.
    """

    path: str
    owner: str
    element: tuple[tuple[str, TensorType], ...]

    @property
    def types(self) -> tuple[TensorType, ...]:
        """The types of an element's tensors."""
        return tuple(type_ for _, type_ in self.element)


@dataclass(frozen=True, eq=False)
class Fold:
    """A client's stream put together, element by element.

    Attributes:
        zero: what it starts from.
        body: takes the totals so far, then the element's tensors; gives the new totals.
    """

    stream: Stream
    zero: tuple["Tensor", ...]
    body: Region
    origin: Origin | None = None


Operation: TypeAlias = Constant | Argument | Kept | HasState | Formal | Apply | Broadcast | Aggregate | Fold


@dataclass(frozen=True)
class Tensor:
    """The output at `index` of an operation; `region` is the one it exists in, None at the top.

    Operations are equal where they are the same, tensors where they are the same output of the same operation.
    """

    operation: Operation
    index: int
    type: TensorType
    region: Region | None = None

    @property
    def place(self) -> Placement | None:
        """Where the tensor is."""
        match self.operation:
            case Argument(_, _, place) | Apply(_, _, place):
                return place
            case Broadcast() | Fold() | Kept() | HasState():
                return CLIENTS
            case Aggregate():
                return SERVER
        return None


@dataclass(frozen=True)
class FlatProgram:
    """A computation whose result is some tensors of the server, in the order of its type's leaves.

    Attributes:
        kept: what clients keep: each tensor as it was the last time, and as it is to be the next time.
    """

    results: tuple[Tensor, ...]
    kept: tuple[tuple[Tensor, Tensor], ...] = ()

    @property
    def roots(self) -> tuple[Tensor, ...]:
        """Everything that a run computes: its result, and what clients keep."""
        return (*self.results, *(after for _, after in self.kept))


def sizes(type_: TensorType) -> tuple[int, ...]:
    """The shape of a tensor, every size of which is known in a flat program."""
    return tuple(size for size in type_.shape or () if size is not None)


def sources(operation: Operation) -> tuple[Tensor, ...]:
    """The tensors that an operation directly needs, with what the body of a fold takes from outside."""
    match operation:
        case Apply(_, inputs):
            return inputs
        case Broadcast(source):
            return (source,)
        case Aggregate():
            return (*operation.inputs, *operation.known)
        case Fold(_, zero, body):
            return (*zero, *captures(body))
    return ()


def in_order(
    roots: Sequence[Tensor], before: Callable[[Tensor], Sequence[Tensor]] = lambda tensor: sources(tensor.operation)
) -> Iterator[Tensor]:
    """The tensors that some are made of, themselves too, each after all that are `before` it."""
    seen: set[Tensor] = set()
    waiting = [(tensor, False) for tensor in reversed(roots)]
    while waiting:
        tensor, is_ready = waiting.pop()
        if is_ready:
            yield tensor
        elif tensor not in seen:
            seen.add(tensor)
            waiting.append((tensor, True))
            waiting.extend((inner, False) for inner in reversed(before(tensor)))


def captures(region: Region) -> tuple[Tensor, ...]:
    """The tensors from outside a region that its results need, constants aside."""
    found: dict[Tensor, None] = {}
    seen: set[Tensor] = set()
    waiting = list(reversed(region.results))
    while waiting:
        tensor = waiting.pop()
        if tensor in seen:
            continue
        seen.add(tensor)
        if tensor.region is not region:
            if not is_constant(tensor):
                found[tensor] = None
        else:
            waiting.extend(reversed(sources(tensor.operation)))
    return tuple(found)


def is_constant(tensor: Tensor) -> bool:
    """Whether a tensor can be computed anywhere, from the program alone."""
    match tensor.operation:
        case Constant() | Apply(_, _, None):
            return True
    return False
