"""Computations as Python objects: typed functions that can be called, passed on and written down.

What a call means is decided by where it happens (`federated.language.context_stack`): in a program that is being
traced it becomes a part of that program; anywhere else the current context runs it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, final, overload

import numpy as np

from federated.language import context_stack, printer
from federated.language.arguments import has_parameters, in_order, parameter_names, takes
from federated.language.checking import free_references
from federated.language.context_stack import LocalTrace
from federated.language.errors import FederatedError, MisuseError, OutsideComputationError, ValueMismatchError
from federated.language.inference import infer_type
from federated.language.nodes import Local, Node
from federated.language.origin import here, of_function
from federated.language.scope import Scope, is_open
from federated.language.types import FunctionType, StructType, Type, to_type
from federated.language.values import TypedObject, call, trace


@final
class Computation(TypedObject):
    """A function with a type, `(P -> R)`, that a context can run.

    Attributes:
        parameter_names: what the Python function called its parameters; empty where that is not known.
    """

    def __init__(self, node: Node, name: str = "computation", parameter_names: Sequence[str] = ()) -> None:
        if not isinstance(node.type, FunctionType):
            raise MisuseError(f"a computation is a function, found a {node.type}")
        self._node = node
        self._type = node.type
        self._outer = _outer_values(node)
        self.parameter_names = tuple(parameter_names)
        self.__name__ = name

    @property
    def type_signature(self) -> FunctionType:
        """The computation's type."""
        return self._type

    def as_node(self, parameter: Type | None = None) -> Node:
        """The graph: a `Lambda`, or a `Local`.

        Raises:
            OutsideComputationError: it uses values of a computation that has been traced already.
        """
        for scope, type_ in self._outer:
            if not is_open(scope):
                raise OutsideComputationError(
                    f"{self.__name__!r} uses a value of type {type_}, and is used outside the computation that the "
                    "value belongs to",
                    where=here(),
                    fix="take the value as a parameter",
                )
        return self._node

    def compact_representation(self) -> str:
        """The graph in one line; see `federated.language.printer`."""
        return printer.compact(self._node)

    def formatted_representation(self) -> str:
        """The graph with a line for each value that it computes."""
        return printer.formatted(self._node)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the call means here; see the module."""
        frame = context_stack.current()
        if not args and len(kwargs) == 1 and self._is_named_alone(*kwargs):
            args, kwargs = tuple(kwargs.values()), {}
        if isinstance(frame, Scope):
            return call(self.as_node(), args, kwargs)
        if isinstance(frame, LocalTrace):
            return self._inlined(args, kwargs)
        try:
            return frame.invoke(self, args, kwargs)
        except FederatedError as error:
            error.where = error.where or here()
            if isinstance(error, ValueMismatchError):
                error.fix = error.fix or f"{self.__name__} takes {self._type.parameter}"
            raise

    def __repr__(self) -> str:
        return f"<{self.__name__}: {self._type}>"

    def _is_named_alone(self, name: str) -> bool:
        """Whether the whole parameter has this name, and no element of it does."""
        parameter = self._type.parameter
        is_element = isinstance(parameter, StructType) and name in parameter.names()
        return self.parameter_names == (name,) and not is_element

    def _inlined(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if isinstance(self._node, Local):
            return self._node.body.inlined(args, kwargs)
        raise OutsideComputationError(
            f"the federated computation {self.__name__!r} is called inside a local one",
            where=here(),
            fix="a function decorated with @fed.tf_computation may only call others like it",
        )


def _outer_values(node: Node) -> list[tuple[Scope, Type]]:
    """What a computation inside another one uses of that: a scope of it, and the type of the value."""
    scopes = [frame for frame in context_stack.frames() if isinstance(frame, Scope)]
    if not scopes:
        return []
    return [(scopes[-1], reference.type) for reference in free_references(node).values()]


@final
class Polymorphic(TypedObject):
    """A computation without declared types: each type that it is called with gives one of its own.

    Args:
        make: gives the computation for a parameter's type; the flag says whether its elements are the arguments.
    """

    def __init__(self, function: Callable[..., Any], make: "Callable[[Type | None, bool | None], Computation]") -> None:
        self._function = function
        self._make = make
        self._made: dict[tuple[Any, bool | None], Computation] = {}
        self.__name__ = getattr(function, "__name__", "computation")

    @property
    def type_signature(self) -> FunctionType:
        """There is none before a call, which an `AttributeError` says: `hasattr` is False."""
        raise AttributeError(
            f"{self.__name__!r} has no declared types, and so no type of its own; "
            "write them in the decorator, or ask the computation that calls it"
        )

    def at(self, parameter: Type | None, is_spread: bool | None = None) -> Computation:
        """The computation at a parameter's type."""
        key = (parameter, is_spread)
        if key not in self._made:
            self._made[key] = self._make(parameter, is_spread)
        return self._made[key]

    def as_node(self, parameter: Type | None = None) -> Node:
        """The graph at a parameter's type."""
        return self.at(parameter).as_node()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """A call of the computation at the types of these arguments."""
        if isinstance(context_stack.current(), LocalTrace):
            return self._function(*args, **kwargs)
        arguments = in_order(self._function, args, kwargs)
        if not arguments:
            return self.at(None)()
        if len(arguments) == 1:
            return self.at(infer_type(arguments[0][1]), False)(arguments[0][1])
        named = [(name, infer_type(value)) for name, value in arguments]
        return self.at(StructType(named), True)(*[value for _, value in arguments])

    def __repr__(self) -> str:
        return f"<{self.__name__}: any type>"


TypeLike = Type | type[Any] | np.dtype[Any] | tuple[Any, ...] | list[Any] | Mapping[str, Any]
"""The most common ways to write a type; `federated.language.types.to_type` takes some more."""

Decorator = Callable[[Callable[..., Any]], Computation]


@overload
def federated_computation(*types: TypeLike) -> Decorator: ...


@overload
def federated_computation(function: Callable[..., Any], /, *types: Any) -> Computation: ...


def federated_computation(*args: Any) -> Any:
    """A Python function as a federated computation: it is run once, on values that have types and no numbers.

    Decorates a function, with the types of its parameters or without; or takes the function first.

    Example:
        >>> @fed.federated_computation(fed.FederatedType(np.float32, fed.CLIENTS))
        ... def average(readings):
        ...     return fed.federated_mean(readings)
        >>> str(average.type_signature)
        '({float32}@CLIENTS -> float32@SERVER)'

    Raises:
        FederatedError: of one of its kinds; what the function does is not what its types allow.
    """

    def make(function: Callable[..., Any], parameter: Type | None, is_spread: bool | None) -> Computation:
        node = trace(function, parameter, is_spread=is_spread)
        return Computation(node, getattr(function, "__name__", "computation"), parameter_names(function))

    return decorator(args, make, "federated_computation")


def decorator(
    args: Sequence[Any], make: Callable[[Callable[..., Any], Type | None, bool | None], Computation], name: str
) -> Any:
    """What a decorator of computations gives: for `@d`, `@d(types…)`, `d(function)` and `d(function, types…)`."""
    if not args:
        return lambda function: declared(function, (), make, name)
    first, *types = args
    if _is_function(first):
        return declared(first, types, make, name)
    return lambda function: declared(function, args, make, name)


def declared(
    function: Callable[..., Any],
    types: Sequence[Any],
    make: Callable[[Callable[..., Any], Type | None, bool | None], Computation],
    name: str,
) -> Any:
    """A function at its declared types; polymorphic where it has parameters and no types."""
    if not _is_function(function):
        raise MisuseError(
            f"@{name} decorates a function, found a {type(function).__name__}",
            where=here(),
            fix="the types stand in the decorator's brackets, the function after it",
        )
    if not types:
        if not has_parameters(function):
            return make(function, None, None)
        return Polymorphic(function, lambda parameter, is_spread: make(function, parameter, is_spread))
    try:
        converted = [to_type(type_) for type_ in types]
    except FederatedError as error:
        error.where = here()
        raise
    if len(converted) == 1 and takes(function, 1):
        return make(function, converted[0], False)
    if len(converted) == 1 and isinstance(converted[0], StructType) and takes(function, len(converted[0])):
        return make(function, converted[0], True)
    if not takes(function, len(converted)):
        raise MisuseError(
            f"{getattr(function, '__name__', 'the function')} takes ({', '.join(parameter_names(function))}), but "
            f"{len(converted)} types are declared: {', '.join(str(type_) for type_ in converted)}",
            where=of_function(function) or here(),
            fix="declare a type for each parameter",
        )
    names = [*parameter_names(function), *[None] * len(converted)]
    return make(function, StructType(list(zip(names, converted, strict=False))), True)


def _is_function(candidate: Any) -> bool:
    return (
        callable(candidate) and not isinstance(candidate, (type, Type)) and not hasattr(candidate, "is_compatible_with")
    )
