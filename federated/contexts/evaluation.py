"""Computes a graph, node by node, on runtime values: the plain meaning of a program.

Operators mean what their rows in `federated.language.intrinsics` say; a local computation runs on this machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, assert_never

from federated.language.cohort import Clients
from federated.language.computation import Computation
from federated.language.errors import FederatedError, OutsideComputationError
from federated.language.intrinsics import INTRINSICS
from federated.language.kept import KeptStates, LocalStates
from federated.language.local_body import LocalBody
from federated.language.meanings import Run
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
from federated.language.types import FederatedType, StructType, Type


@dataclass(frozen=True)
class LocalFunction:
    """A local computation as a runtime value: a function, which some can apply to all clients at once."""

    body: LocalBody

    def __call__(self, argument: Any = None) -> Any:
        """The result's runtime value."""
        return self.body.run(argument)

    def each(self, clients: Clients) -> Clients | None:
        """See `LocalBody.run_each`."""
        return self.body.run_each(clients)


@dataclass(frozen=True)
class Evaluation:
    """One run of a program.

    Attributes:
        cohort: how many clients take part.
        states: what they keep.
        environment: the runtime values of the names that are bound.
    """

    cohort: int
    states: LocalStates
    environment: Mapping[str, Any] = field(default_factory=dict)

    def value(self, node: Node) -> Any:  # noqa: PLR0911 - one for each kind of node
        """The runtime value of a node.

        Raises:
            ExecutionError: an operator has no result, such as a mean of nobody.
            FederatedError: otherwise, as the local computations raise it.
        """
        match node:
            case Literal(value):
                return value
            case Reference(name):
                if name not in self.environment:
                    raise OutsideComputationError(
                        f"a value of type {node.type} is used outside the computation it belongs to",
                        where=node.origin,
                        fix="pass it on as an argument",
                    )
                return self.environment[name]
            case Structure(elements):
                return tuple(self.value(element) for element in elements)
            case Selection(source, index):
                return self.value(source)[index]
            case Lambda():
                return lambda argument=None: self._applied(node, argument)
            case Block(bindings, result):
                inner = self
                for name, bound in bindings:
                    inner = inner._with(name, inner.value(bound))
                return inner.value(result)
            case Call(function, argument):
                return self._called(node, function, argument)
            case Local(body):
                return LocalFunction(body)
            case Intrinsic():
                return lambda argument=None: self._operate(node, argument)
        assert_never(node)

    def _applied(self, function: Lambda, argument: Any) -> Any:
        inner = self if function.parameter is None else self._with(function.parameter, argument)
        return inner.value(function.body)

    def _called(self, node: Call, function: Node, argument: Node | None) -> Any:
        callee = self.value(function)
        given = None if argument is None else self.value(argument)
        try:
            return callee(given)
        except FederatedError as error:
            error.where = error.where or node.origin
            raise

    def _operate(self, node: Intrinsic, argument: Any) -> Any:
        operator = INTRINSICS[node.name]
        parameter = node.type.parameter
        assert parameter is not None  # noqa: S101 - no operator is without
        has_many = len(operator.parameters) > 1
        types: tuple[Type, ...] = (parameter,)
        if has_many and isinstance(parameter, StructType):
            types = tuple(parameter)
        run = Run(types, node.type.result, self.cohort, dict(node.options), node.origin, self.states)
        return operator.run(run, argument if has_many else (argument,))

    def _with(self, name: str, value: Any) -> "Evaluation":
        return Evaluation(self.cohort, self.states, {**self.environment, name: value})


def evaluated(computation: Computation, argument: Any, cohort: int) -> Any:
    """The runtime value of a computation's result; what its clients keep is kept then."""
    states = LocalStates(KeptStates(computation.__name__, cohort))
    result = Evaluation(cohort, states).value(computation.as_node())(argument)
    states.commit()
    return result


def is_federated(type_: Type) -> bool:
    """Whether anything in a type is placed."""
    return isinstance(type_, FederatedType) or any(is_federated(child) for child in type_.children())
