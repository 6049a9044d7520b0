"""What a Python function sees while it is traced as a federated computation: values that have a type, and no number.

A value can be passed on, selected from and called. Everything else belongs into a local computation.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from federated.language import nodes
from federated.language.arguments import gathered, is_spread_over, parameter_names
from federated.language.arrays import to_array
from federated.language.errors import (
    FederatedError,
    MisuseError,
    OutsideComputationError,
    TypeMismatchError,
    ValueMismatchError,
)
from federated.language.no_arithmetic import NoArithmetic
from federated.language.nodes import Call, Intrinsic, Lambda, Literal, Node, Reference, Structure
from federated.language.origin import here, of_function
from federated.language.scope import Scope, is_open, opened, require
from federated.language.structures import Struct, elements_of
from federated.language.types import (
    FederatedType,
    FunctionType,
    StructType,
    StructWithPythonType,
    TensorType,
    Type,
    to_type,
)
from federated.language.typing_rules import FUNCTIONS


class TypedObject(ABC):
    """Something with a place in a program: a value, or a computation."""

    __slots__ = ()

    @abstractmethod
    def as_node(self, parameter: Type | None = None) -> Node:
        """Its node. A function that has no declared types is traced at this parameter's."""


class Value(NoArithmetic, TypedObject):
    """A value of a federated computation; see the module's description."""

    __slots__ = ("_node", "_scope")

    def __init__(self, node: Node, scope: Scope) -> None:
        self._node = node
        self._scope = scope

    @property
    def type_signature(self) -> Type:
        """The value's type."""
        return self._node.type

    def as_node(self, parameter: Type | None = None) -> Node:
        """The node that this value stands for.

        Raises:
            OutsideComputationError: its computation has been traced already.
        """
        if not is_open(self._scope):
            raise OutsideComputationError(
                f"a value of type {self.type_signature} is used outside the computation it belongs to",
                where=here(),
                fix="return it from its computation, or pass it on as an argument",
            )
        return self._node

    def __repr__(self) -> str:
        return f"a value of type {self.type_signature}"

    def __dir__(self) -> list[str]:
        return [name for name in self._names() if name] + ["type_signature"]

    def __copy__(self) -> "Value":
        return self

    def __deepcopy__(self, memo: object) -> "Value":
        return self

    def __reduce__(self) -> NoReturn:
        raise MisuseError(
            f"{self!r} cannot be pickled", where=here(), fix="fed.serialize_computation writes the computation down"
        )

    def __getattr__(self, name: str) -> "Value":
        names = self._names()
        if name in names:
            return self._select(names.index(name))
        known = ", ".join(name for name in names if name)
        raise AttributeError(f"{self!r} has no element {name!r}; it has {known or 'none with a name'}")

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            return getattr(self, key)
        size = len(self)
        if isinstance(key, slice):
            return tuple(self._select(index) for index in range(*key.indices(size)))
        if not -size <= key < size:
            raise IndexError(f"{self!r} has {size} elements, and none at {key}")
        return self._select(key % size)

    def __len__(self) -> int:
        struct = _structure_type(self.type_signature)
        if struct is None:
            raise MisuseError(
                f"{self!r} has no elements to count, to select or to iterate over",
                where=here(),
                fix="what a tensor or a sequence holds is a matter of a fed.tf_computation",
            )
        return len(struct)

    def __iter__(self) -> Iterator["Value"]:
        return iter([self._select(index) for index in range(len(self))])

    def __call__(self, *args: Any, **kwargs: Any) -> "Value":
        """The result of the function that this value is."""
        return call(self.as_node(), args, kwargs)

    def _names(self) -> list[str | None]:
        struct = _structure_type(self.type_signature)
        return [] if struct is None else [name for name, _ in struct.items()]

    def _select(self, index: int) -> "Value":
        node = self.as_node()
        if isinstance(node.type, FederatedType):
            return _select_from_members(node, node.type, index)
        return Value(nodes.select(node, index, here()), self._scope)


def to_value(argument: Any, type_spec: Any = None) -> Value:
    """An argument as a value of the federated computation that is being traced.

    Args:
        type_spec: the type it should have; None for its own.

    Raises:
        FederatedError: it is nothing that a computation can hold, has another type, or no computation is being traced.
    """
    scope = require("fed.to_value")
    hint = None if type_spec is None else to_type(type_spec)
    node = to_node(argument, hint)
    if hint is not None and not hint.is_assignable_from(node.type):
        raise TypeMismatchError(
            "a value has another type than it is said to have",
            expected=hint,
            found=node.type,
            where=here(),
            fix="leave the type out, or cast the value in a fed.tf_computation",
        )
    return Value(node, scope)


def to_node(argument: Any, hint: Type | None = None) -> Node:
    """The node of an argument: a value, a computation, a Python container of such, or a constant.

    Args:
        hint: the type it should have, where that is known: a constant becomes one of that type.

    Raises:
        MisuseError: it is nothing that a federated computation can hold.
    """
    if isinstance(argument, TypedObject):
        return argument.as_node(hint.parameter if isinstance(hint, FunctionType) else None)
    if callable(argument) and isinstance(hint, FunctionType):
        return trace(argument, hint.parameter)
    try:
        elements = elements_of(argument)
    except ValueMismatchError as error:
        error.where, error.fix = here(), "name the elements with strings, or put them into a list"
        raise
    return _literal(argument, hint) if elements is None else _structure(argument, elements, hint)


def to_function(argument: Any, parameter: Type | None, what: str) -> Node:
    """The node of a function; a plain Python function is traced at this parameter's type.

    Raises:
        MisuseError: it is no function; `what` says what it was for.
    """
    if not isinstance(argument, TypedObject) and callable(argument):
        return trace(argument, parameter)
    node = argument.as_node(parameter) if isinstance(argument, TypedObject) else None
    if node is None or not isinstance(node.type, FunctionType):
        found = _described(argument) if node is None else f"a value of type {node.type}"
        raise MisuseError(f"{what} must be a function, found {found}", where=here(), fix=FUNCTIONS)
    return node


def trace(function: Callable[..., Any], parameter: Type | None, *, is_spread: bool | None = None) -> Lambda:
    """The lambda that a Python function is.

    Args:
        parameter: the type of what it takes; None where it takes nothing.
        is_spread: whether the elements of the parameter are its arguments; None for what `is_spread_over` says.
    """
    origin = of_function(function) or here()
    with opened() as scope:
        if parameter is None:
            body = scope.close(_returned(function, function()))
            return Lambda(None, body, FunctionType(None, body.type), origin=origin)
        names = parameter_names(function)
        name = scope.name_of_parameter(names[0] if len(names) == 1 else "arg")
        value = Value(Reference(name, parameter), scope)
        is_spread = is_spread_over(function, parameter) if is_spread is None else is_spread
        body = scope.close(_returned(function, function(*value) if is_spread else function(value)))
        return Lambda(name, body, FunctionType(parameter, body.type), origin=origin)


def call(function: Node, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Value:
    """A function applied to arguments, in the program that is being traced.

    Raises:
        MisuseError: it is no function, or takes something else.
    """
    if not isinstance(function.type, FunctionType):
        raise MisuseError(
            f"a value of type {function.type} cannot be called",
            where=here(),
            fix="only a value whose type is a function can be",
        )
    parameter = function.type.parameter
    argument = gathered(parameter, args, kwargs)
    if parameter is None:
        return bound(Call(function, None, function.type.result, origin=here()))
    node = to_node(argument, parameter)
    if not parameter.is_assignable_from(node.type):
        raise TypeMismatchError(
            "a call's argument has another type",
            expected=parameter,
            found=node.type,
            where=here(),
            fix="cast it in a fed.tf_computation, or declare the parameter with the type found",
        )
    return bound(Call(function, node, function.type.result, origin=here()))


def bound(node: Node) -> Value:
    """A node as a value, bound in the scope that is being traced."""
    scope = require("a call")
    return Value(scope.bind(node), scope)


def _returned(function: Callable[..., Any], result: Any) -> Node:
    try:
        if result is None:
            name = getattr(function, "__name__", "the function")
            raise MisuseError(f"{name} returns nothing", fix="end it with return and a value")
        return to_node(result)
    except FederatedError as error:
        # What is wrong is in the function; the line that is running is its decorator's.
        error.where = of_function(function) or error.where
        raise


def _select_from_members(node: Node, federated: FederatedType, index: int) -> Value:
    scope = require("a selection from a federated value")
    parameter, origin = scope.new_name("p"), here()
    body = nodes.select(Reference(parameter, federated.member), index)
    function = Lambda(parameter, body, FunctionType(federated.member, body.type), origin=origin)
    result = FederatedType(body.type, federated.placement, federated.all_equal)
    argument = nodes.structure((function, node))
    intrinsic = Intrinsic("federated_map", FunctionType(argument.type, result), origin=origin)
    return bound(Call(intrinsic, argument, result, origin=origin))


def _structure(argument: Any, elements: Sequence[tuple[str | None, Any]], hint: Type | None) -> Structure:
    hints: list[Type | None] = [None] * len(elements)
    if isinstance(hint, StructType) and len(hint) == len(elements):
        hints = list(hint)
        given = dict(elements)
        if given.keys() == set(hint.names()) and None not in given:
            elements = [(name, given[name]) for name in hint.names()]
    children = [to_node(value, inner) for (_, value), inner in zip(elements, hints, strict=True)]
    typed = [(name, child.type) for (name, _), child in zip(elements, children, strict=True)]
    is_plain = isinstance(argument, Struct)
    type_ = StructType(typed) if is_plain else StructWithPythonType(typed, type(argument))
    return Structure(tuple(children), type_, origin=here())


def _literal(argument: Any, hint: Type | None) -> Literal:
    if hint is not None and not isinstance(hint, TensorType):
        raise TypeMismatchError(
            "a constant has another type",
            expected=hint,
            found=type_of_constant(argument),
            where=here(),
            fix=f"fed.federated_value(…, fed.{hint.placement}) places it" if isinstance(hint, FederatedType) else None,
        )
    type_ = hint or type_of_constant(argument)
    try:
        array = to_array(type_, argument, "a constant")
    except ValueMismatchError as error:
        error.where, error.fix = here(), f"give a constant of type {type_}"
        raise
    # A copy: the program does not change with an array of the caller's.
    return Literal(np.array(array), TensorType(type_.dtype, array.shape), origin=here())


def type_of_constant(argument: Any) -> TensorType:
    """The type of a constant without a declared one: an int is an int32 where it fits, a float a float32.

    Raises:
        MisuseError: it is no constant.
    """
    if isinstance(argument, (np.ndarray, np.generic)):
        if argument.dtype == object:
            raise MisuseError("an array of Python objects is no tensor", where=here(), fix="give it a dtype")
        return TensorType(argument.dtype.type, argument.shape)
    if isinstance(argument, bool):
        return TensorType(np.bool_)
    if isinstance(argument, int):
        return TensorType(_integer_dtype(argument))
    if isinstance(argument, float):
        return TensorType(np.float32)
    if isinstance(argument, (str, bytes)):
        return TensorType(np.str_)
    raise MisuseError(
        f"a federated computation cannot hold {_described(argument)}",
        where=here(),
        fix="use values of the computation, constants, and Python containers of them",
    )


def _integer_dtype(value: int) -> type[np.integer[Any]]:
    for dtype in (np.int32, np.int64, np.uint64):
        if np.iinfo(dtype).min <= value <= np.iinfo(dtype).max:
            return dtype
    raise MisuseError(f"no integer dtype holds {value}", where=here(), fix="use a float")


def _described(argument: Any) -> str:
    name = type(argument).__name__
    if type(argument).__module__.partition(".")[0] in {"tensorflow", "keras"}:
        return f"TensorFlow's {name}: TensorFlow belongs into a function decorated with @fed.tf_computation"
    if callable(argument):
        return f"the function {getattr(argument, '__name__', name)}"
    return f"a {name}"


def _structure_type(type_: Type) -> StructType | None:
    inner = type_.member if isinstance(type_, FederatedType) else type_
    return inner if isinstance(inner, StructType) else None
