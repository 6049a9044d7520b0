"""Holds a graph against the typing rules: what comes from a document, or out of a pass of the compiler, is as sound as
what was traced.

The types that the nodes carry are never trusted: each follows from those of the node's parts. A node that stands in the
graph more than once is looked at once, so that the time is that of the graph's size.
"""

from collections.abc import Mapping
from typing import NoReturn, assert_never

from federated.language.errors import FederatedError, MisuseError, OutsideComputationError, TypeMismatchError
from federated.language.intrinsics import INTRINSICS, is_option
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
from federated.language.types import FederatedType, FunctionType, StructType, TensorType, Type

Free = Mapping[str, Reference]
"""The references of a node that nothing in it binds, one for each name."""


def check(node: Node) -> None:
    """Raise unless a graph is whole and well typed.

    Raises:
        TypeMismatchError: a node's type is not what its parts give; carries the node's line.
        OutsideComputationError: a name is bound nowhere.
        FederatedError: of another kind, as the rule of an operator says.
    """
    for reference in free_references(node).values():
        raise OutsideComputationError(f"the name {reference.name!r} is bound nowhere", where=reference.origin)


def free_references(node: Node) -> Free:
    """The references that nothing in a graph binds, by name; the graph is checked on the way, see `check`."""
    return _Checker().free(node)


class _Checker:
    """One walk through a graph; nodes are told apart by identity."""

    def __init__(self) -> None:
        self._seen: dict[int, Free] = {}

    def free(self, node: Node) -> Free:
        if id(node) not in self._seen:
            self._seen[id(node)] = self._looked_at(node)
        return self._seen[id(node)]

    def _looked_at(self, node: Node) -> Free:  # noqa: PLR0911 - one for each kind of node
        match node:
            case Literal():
                _check_literal(node)
                return {}
            case Reference(name):
                return {name: node}
            case Structure(elements, type_):
                _check_same("a structure", node, StructType(_named(type_, elements)), type_)
                return self._joined(node, *elements)
            case Selection(source):
                _check_same("a selection", node, _element(node), node.type)
                return self.free(source)
            case Lambda(parameter, body, type_):
                _check_same("a function's result", node, body.type, type_.result)
                if (parameter is None) != (type_.parameter is None):
                    _refuse(node, f"a function has the type {type_}, which does not fit its parameter {parameter!r}")
                free = self.free(body)
                return free if parameter is None else _bound(free, parameter, type_.parameter)
            case Call(function, argument):
                _check_call(node)
                return self._joined(node, function, *([] if argument is None else [argument]))
            case Block():
                return self._block(node)
            case Intrinsic():
                _check_intrinsic(node)
                return {}
            case Local(body, type_):
                _check_same("a local computation", node, body.type, type_)
                return {}
        assert_never(node)

    def _block(self, node: Block) -> Free:
        _check_same("a block", node, node.result.type, node.type)
        free = self.free(node.result)
        for name, value in reversed(node.locals):
            free = _merged(_bound(free, name, value.type), self.free(value))
        return free

    def _joined(self, node: Node, *parts: Node) -> Free:
        free: Free = {}
        for part in parts:
            free = _merged(free, self.free(part))
        return free


def _bound(free: Free, name: str, type_: Type | None) -> Free:
    """What is still free where a name is bound."""
    if name not in free:
        return free
    reference = free[name]
    if type_ is not None:
        _check_same(f"the name {name!r}", reference, type_, reference.type)
    return {other: inner for other, inner in free.items() if other != name}


def _merged(one: Free, other: Free) -> Free:
    for name in one.keys() & other.keys():
        _check_same(f"the name {name!r}", one[name], other[name].type, one[name].type)
    return {**other, **one} if one and other else one or other


def _check_literal(node: Literal) -> None:
    dtype = node.type.dtype
    same = node.value.dtype.kind == "U" if dtype.kind == "U" else node.value.dtype == dtype
    if not same or not node.type.is_assignable_from(TensorType(dtype, node.value.shape)):
        _refuse(node, f"a constant has the type {node.type}, but is {node.value.dtype}{list(node.value.shape)}")


def _named(type_: StructType, elements: tuple[Node, ...]) -> list[tuple[str | None, Type]]:
    names = [*type_.names(), *[None] * len(elements)]
    return [(name, element.type) for name, element in zip(names, elements, strict=False)]


def _element(node: Selection) -> Type:
    struct = node.source.type
    if not isinstance(struct, StructType) or not 0 <= node.index < len(struct):
        _refuse(node, f"there is no element {node.index} in a value of type {struct}")
    element: Type = struct[node.index]
    return element


def _check_call(node: Call) -> None:
    function = node.function.type
    if not isinstance(function, FunctionType):
        _refuse(node, f"a value of type {function} is called")
    _check_same("a call", node, function.result, node.type)
    if function.parameter is None or node.argument is None:
        if function.parameter is not None or node.argument is not None:
            _refuse(node, f"a function of type {function} is called with {'an' if node.argument else 'no'} argument")
        return
    difference = function.parameter.difference_from(node.argument.type)
    if difference is not None:
        raise TypeMismatchError(
            "a call's argument has another type",
            expected=function.parameter,
            found=node.argument.type,
            difference=difference,
            where=node.origin,
        )


def _check_intrinsic(node: Intrinsic) -> None:
    operator = INTRINSICS.get(node.name)
    parameter = node.type.parameter
    if operator is None:
        raise MisuseError(f"there is no operator {node.name!r}", where=node.origin)
    many = len(operator.parameters) > 1
    if parameter is None or (
        many and not (isinstance(parameter, StructType) and len(parameter) == len(operator.parameters))
    ):
        _refuse(node, f"{node.name} takes {', '.join(operator.parameters)}, found the type {node.type}")
    for option, value in node.options.items():
        if not is_option(node.name, option, value):
            raise MisuseError(f"{node.name} has no option {option}={value}", where=node.origin)
    arguments = tuple(parameter) if many and isinstance(parameter, StructType) else (parameter,)
    try:
        result = operator.result_type(arguments)
    except FederatedError as error:
        error.where = error.where or node.origin
        raise
    _check_same(node.name, node, _as_equal_as(node, arguments, result), node.type.result)


def _as_equal_as(node: Intrinsic, arguments: tuple[Type, ...], result: Type) -> Type:
    """A selection from a value that all clients share is one they share too, though it is a map."""
    source, declared = arguments[-1], node.type.result
    if (
        node.name == "federated_map"
        and isinstance(result, FederatedType)
        and isinstance(source, FederatedType)
        and isinstance(declared, FederatedType)
    ):
        return FederatedType(
            result.member, result.placement, (declared.all_equal and source.all_equal) or result.all_equal
        )
    return result


def _check_same(what: str, node: Node, expected: Type, found: Type) -> None:
    if expected is not found and not expected.is_equivalent_to(found):
        raise TypeMismatchError(
            f"{what} has another type than its parts give", expected=expected, found=found, where=node.origin
        )


def _refuse(node: Node, message: str) -> NoReturn:
    raise TypeMismatchError(message, where=node.origin)
