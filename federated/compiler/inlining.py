"""From the graph of a computation to a flat program: every function is applied, every structure taken apart.

The language has no recursion, so evaluating the graph on symbols ends. A symbol follows its type: a `Tensor`, a tuple
of symbols, a sequence (`Streamed` or `Listed`), or a Python function of a symbol and the placement it is applied at. A
federated value is its member's symbol; where it stands, its tensors know.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

import numpy as np

from federated.compiler.flat import (
    Apply,
    Broadcast,
    Constant,
    Fold,
    Formal,
    Kernel,
    Region,
    Stream,
    Tensor,
    captures,
)
from federated.compiler.library import Library
from federated.language.errors import CompilationError
from federated.language.local_body import LocalBody
from federated.language.nodes import (
    Block,
    Call,
    Intrinsic,
    Lambda,
    Literal,
    Local,
    Node,
    Reference,
    Selection,
    Structure,
)
from federated.language.origin import Origin
from federated.language.placements import CLIENTS, SERVER, Placement
from federated.language.types import FederatedType, SequenceType, StructType, TensorType, Type

Symbol = Any
Environment = Mapping[str, Symbol]


@dataclass(frozen=True)
class Streamed:
    """A client's examples, each put through `element`, which takes an example's tensors."""

    stream: Stream
    element: Callable[[Sequence[Tensor]], Symbol]


@dataclass(frozen=True)
class Listed:
    """A sequence whose elements the program itself makes, such as the slices of a selection."""

    elements: tuple[Symbol, ...]


class Inlining:
    """One computation being taken apart.

    Args:
        operations: what each operator becomes; `federated.compiler.operating` has them.

    Attributes:
        kept: see `FlatProgram`; filled in as operators are met.
        keeping_operators: how many that keep something were met.
    """

    def __init__(self, library: Library, operations: Mapping[str, "Operation"]) -> None:
        self.library = library
        self._operations = operations
        self.kept: list[tuple[Tensor, Tensor]] = []
        self.keeping_operators = 0
        self._broadcasts: dict[Tensor, Tensor] = {}
        self._operator: Origin | None = None  # the line of the operator that is being taken apart

    def value(self, node: Node, names: Environment, place: Placement | None) -> Symbol:  # noqa: PLR0911 - one a kind
        """The symbol of a node that is computed at a placement.

        Raises:
            CompilationError: a sound program that no plan can be made of.
        """
        match node:
            case Literal(value, type_):
                return Tensor(Constant(value, node.origin), 0, type_)
            case Reference(name):
                return names[name]
            case Structure(elements):
                return tuple(self.value(element, names, place) for element in elements)
            case Selection(source, index):
                return self.value(source, names, place)[index]
            case Lambda(parameter, body):
                return lambda argument, at: self.value(body, _with(names, parameter, argument), at)
            case Block(bindings, result):
                for name, bound in bindings:
                    names = _with(names, name, self.value(bound, names, place))
                return self.value(result, names, place)
            case Call(function, argument):
                given = None if argument is None else self.value(argument, names, place)
                if isinstance(function, Intrinsic):
                    return self._operate(function, given, node.origin)
                if isinstance(function, Local):
                    return self._local(function, given, place, node.origin)
                return self.value(function, names, place)(given, place)
            case Local():
                return lambda argument, at: self._local(node, argument, at, node.origin)
            case Intrinsic():
                return lambda argument, at: self._operate(node, argument, node.origin)
        assert_never(node)

    def apply(
        self, kernel: Kernel, inputs: Sequence[Tensor], place: Placement | None, origin: Origin | None
    ) -> tuple[Tensor, ...]:
        """A kernel's outputs at a placement. What a client takes from the server is broadcast."""
        place = place or next((tensor.place for tensor in inputs if tensor.place is not None), None)
        if place == CLIENTS:
            inputs = [self.at_clients(tensor, origin) for tensor in inputs]
        operation = Apply(kernel, tuple(inputs), place, origin)
        types = kernel.output_types([tensor.type for tensor in inputs])
        for type_ in types:
            _refuse_unknown_shape(kernel, type_, origin)
        region = next((tensor.region for tensor in inputs if tensor.region is not None), None)
        return tuple(Tensor(operation, index, type_, region) for index, type_ in enumerate(types))

    def at_clients(self, tensor: Tensor, origin: Origin | None) -> Tensor:
        """A tensor that a client can use: the server's is broadcast, once."""
        if tensor.place != SERVER:
            return tensor
        if tensor not in self._broadcasts:
            self._broadcasts[tensor] = Tensor(Broadcast(tensor, origin), 0, tensor.type)
        return self._broadcasts[tensor]

    def fold(
        self,
        sequence: Streamed | Listed,
        zero: Sequence[Tensor],
        step: Callable[[tuple[Tensor, ...], Symbol], Sequence[Tensor]],
        origin: Origin | None,
    ) -> tuple[Tensor, ...]:
        """The tensors that a sequence's elements come to, from the first to the last."""
        if isinstance(sequence, Listed):
            totals = tuple(zero)
            for element in sequence.elements:
                totals = tuple(step(totals, element))
            return totals
        start = tuple(self.at_clients(tensor, origin) for tensor in zero)
        region = Region()
        totals = formals(region, [tensor.type for tensor in start], "total")
        elements = formals(region, sequence.stream.types, "element")
        region.parameters = (*totals, *elements)
        region.results = tuple(self.at_clients(tensor, origin) for tensor in step(totals, sequence.element(elements)))
        for before, after in zip(start, region.results, strict=True):
            _same_type(before, after, origin)
        if any(tensor.region is not None for tensor in (*start, *captures(region))):
            raise CompilationError(
                "a sequence is gone through once for each element of a sequence, which a device cannot do",
                where=origin,
                fix="reduce the inner one first, and use its result",
            )
        operation = Fold(sequence.stream, start, region, origin)
        return tuple(Tensor(operation, index, tensor.type) for index, tensor in enumerate(start))

    def _operate(self, node: Intrinsic, argument: Symbol, origin: Origin | None) -> Symbol:
        outer = self._operator
        self._operator = node.origin or origin or outer
        try:
            return self._operations[node.name](self, node, argument, self._operator)
        finally:
            self._operator = outer

    def _local(self, node: Local, argument: Symbol, place: Placement | None, origin: Origin | None) -> Symbol:
        origin = origin or self._operator
        parameter, result = node.type.parameter, node.type.result
        arguments = [] if parameter is None else list(flat(parameter, argument))
        if has_sequence(parameter) or has_sequence(result):
            return unflat(result, iter(self._staged(node.body, arguments, place, origin)))
        outputs = self.apply(self.library.kernel(node.body), arguments, place, origin)
        return unflat(result, iter(outputs))

    def _staged(
        self, body: LocalBody, arguments: Sequence[Symbol], place: Placement | None, origin: Origin | None
    ) -> Iterator[Symbol]:
        """The results, leaf by leaf, of a local computation over sequences."""
        tensors = [leaf for leaf in arguments if isinstance(leaf, Tensor)]
        sequences = [leaf for leaf in arguments if not isinstance(leaf, Tensor)]
        elements = [element_tensors(sequence) for sequence in sequences]
        remaining = iter(elements)
        types = [leaf.type if isinstance(leaf, Tensor) else next(remaining) for leaf in arguments]
        try:
            stages = self.library.stages(body, types)
        except CompilationError as error:
            error.where = error.where or origin
            raise
        known = list(tensors)
        for stage in stages.folds:
            zero = self.apply(stage.zero, known, place, origin)

            def step(totals: Sequence[Tensor], element: Symbol, stage: Any = stage, before: Any = tuple(known)) -> Any:
                return self.apply(stage.step, [*before, *totals, *flat_symbol(element)], place, origin)

            known += self.fold(sequences[stage.sequence], zero, step, origin)
        outputs = iter(self.apply(stages.finish, known, place, origin))
        for result in stages.results:
            if result is None:
                yield next(outputs)
                continue

            def mapped(element: Symbol, result: Any = result) -> Symbol:
                leaves = self.apply(result.element, [*known, *flat_symbol(element)], place, origin)
                return unflat(result.type, iter(leaves))

            yield self.mapped(sequences[result.sequence], mapped)

    def mapped(self, sequence: Streamed | Listed, function: Callable[[Symbol], Symbol]) -> Streamed | Listed:
        """A sequence with every element put through a function."""
        if isinstance(sequence, Listed):
            return Listed(tuple(function(element) for element in sequence.elements))
        return Streamed(sequence.stream, lambda tensors: function(sequence.element(tensors)))


Operation = Callable[[Inlining, Intrinsic, Symbol, Origin | None], Symbol]
"""What an operator becomes, from its node and the symbol of its argument."""


def constant(value: Any, dtype: Any, origin: Origin | None) -> Tensor:
    """A constant of the program's own."""
    array = np.asarray(value, dtype)
    return Tensor(Constant(array, origin), 0, TensorType(array.dtype, array.shape))


def formals(region: Region, types: Sequence[TensorType], label: str) -> tuple[Tensor, ...]:
    """New parameters of a region."""
    return tuple(Tensor(Formal(f"{label}{index}"), 0, type_, region) for index, type_ in enumerate(types))


def flat(type_: Type, symbol: Symbol) -> Iterator[Symbol]:
    """The tensors and sequences of a symbol, in the type's order."""
    match type_:
        case FederatedType(member):
            yield from flat(member, symbol)
        case StructType():
            for element, inner in zip(type_, symbol, strict=True):
                yield from flat(element, inner)
        case _:
            yield symbol


def flat_symbol(symbol: Symbol) -> Iterator[Tensor]:
    """The tensors of a symbol without sequences."""
    if isinstance(symbol, tuple):
        for element in symbol:
            yield from flat_symbol(element)
    else:
        yield symbol


def unflat(type_: Type, leaves: Iterator[Symbol]) -> Symbol:
    """The symbol that has these leaves."""
    match type_:
        case FederatedType(member):
            return unflat(member, leaves)
        case StructType():
            return tuple(unflat(element, leaves) for element in type_)
    return next(leaves)


def element_tensors(sequence: Streamed | Listed) -> list[TensorType]:
    """The types of the tensors of a sequence's element."""
    if isinstance(sequence, Listed):
        return [tensor.type for tensor in flat_symbol(sequence.elements[0])] if sequence.elements else []
    probe = Region()
    return [tensor.type for tensor in flat_symbol(sequence.element(formals(probe, sequence.stream.types, "element")))]


def has_sequence(type_: Type | None) -> bool:
    """Whether a sequence is anywhere in a type."""
    return isinstance(type_, SequenceType) or (type_ is not None and any(has_sequence(c) for c in type_.children()))


def _refuse_unknown_shape(kernel: Kernel, type_: TensorType, origin: Origin | None) -> None:
    if type_.shape is None or None in type_.shape:
        raise CompilationError(
            f"{kernel.name} gives {type_}; devices compute with known shapes only",
            where=origin,
            fix="use a mask in the place of a size that depends on the values",
        )


def _same_type(before: Tensor, after: Tensor, origin: Origin | None) -> None:
    if before.type != after.type:
        raise CompilationError(
            f"a reduction starts from {before.type} and gives {after.type}; devices need one shape",
            where=origin,
            fix="start from a tensor of the size that it comes to, and fill it in",
        )


def _with(names: Environment, name: str | None, value: Symbol) -> Environment:
    return names if name is None else {**names, name: value}
