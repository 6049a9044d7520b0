"""How the arguments of a Python call and the one parameter of a computation correspond.

A computation takes one value. Where it was declared with several types, that value is a structure whose elements are
the Python function's parameters, by their names: `(<readings={float32}@CLIENTS,threshold=float32@SERVER> -> …)`.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from federated.language.errors import MisuseError
from federated.language.origin import here
from federated.language.structures import elements_of
from federated.language.types import StructType, Type


def gathered(parameter: Type | None, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """The one argument that a call gives: it is the only one, or all of them are its elements.

    Raises:
        MisuseError: too many, too few, or names that the parameter does not have.
    """
    if parameter is None:
        if args or kwargs:
            raise MisuseError(
                f"expected no arguments, found {_count(args, kwargs)}", where=here(), fix="call it with ()"
            )
        return None
    if len(args) == 1 and not kwargs and _is_whole(parameter, args[0]):
        return args[0]
    if not isinstance(parameter, StructType):
        raise MisuseError(f"expected one argument of type {parameter}, found {_count(args, kwargs)}", where=here())
    return _elements(parameter, args, kwargs)


def is_spread_over(function: Callable[..., Any], parameter: Type) -> bool:
    """Whether the elements of a computation's parameter are the arguments of the Python function.

    They are where nobody says otherwise, and the function takes as many, and not one alone.
    """
    return isinstance(parameter, StructType) and not takes(function, 1) and takes(function, len(parameter))


def takes(function: Callable[..., Any], count: int) -> bool:
    """Whether a function can be called with so many positional arguments."""
    signature = _signature(function)
    if signature is None:
        return True
    try:
        signature.bind(*[None] * count)
    except TypeError:
        return False
    return True


def in_order(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> list[tuple[str | None, Any]]:
    """The arguments of a call in the order of the function's parameters, with their names.

    Raises:
        MisuseError: the function can't be called so.
    """
    signature = _signature(function)
    if signature is None:
        return [(None, value) for value in args] + list(kwargs.items())
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        name = getattr(function, "__name__", "the function")
        fix = f"its parameters are {', '.join(parameter_names(function)) or 'none'}"
        raise MisuseError(f"{name}: {error}", where=here(), fix=fix) from None
    if bound.kwargs:
        raise MisuseError(
            f"a computation has no keyword-only parameters, found {', '.join(bound.kwargs)}",
            where=here(),
            fix="take the * out of the function's parameters",
        )
    names = parameter_names(function)
    return [(names[place] if place < len(names) else None, value) for place, value in enumerate(bound.args)]


def parameter_names(function: Callable[..., Any]) -> tuple[str, ...]:
    """The names of a function's positional parameters."""
    signature = _signature(function)
    return tuple(
        name
        for name, parameter in ({} if signature is None else signature.parameters).items()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    )


def has_parameters(function: Callable[..., Any]) -> bool:
    """Whether a function takes anything by position."""
    return takes(function, 1) or bool(parameter_names(function))


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):  # some functions written in C have none
        return None


def _is_whole(parameter: Type, argument: Any) -> bool:
    """Whether a single argument is the whole structure rather than its only element."""
    if not isinstance(parameter, StructType):
        return True
    type_ = getattr(argument, "type_signature", None)
    if isinstance(type_, Type):
        return parameter.is_assignable_from(type_) or len(parameter) != 1
    return _is_made_like(parameter, argument)


def _is_made_like(type_: Type, argument: Any) -> bool:
    """Whether an argument is a container wherever a type is a structure, with as many elements."""
    if not isinstance(type_, StructType):
        return True
    if isinstance(getattr(argument, "type_signature", None), Type):
        return type_.is_assignable_from(argument.type_signature)
    elements = elements_of(argument)
    if elements is None or len(elements) != len(type_):
        return False
    if len(type_) > 1:  # no way to mistake it for one of its elements
        return True
    ((name, inner),) = type_.items() if len(type_) else ((None, type_),)
    return not elements or (name is not None and elements[0][0] == name) or _is_made_like(inner, elements[0][1])


def _elements(parameter: StructType, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
    names = [name for name, _ in parameter.items()]
    if len(args) > len(names):
        raise MisuseError(f"expected {len(names)} arguments, found {len(args)}", where=here(), fix=_give(parameter))
    given = dict(zip(range(len(args)), args, strict=True))
    for name, value in kwargs.items():
        if name not in names:
            raise MisuseError(
                f"there is no parameter {name!r}; there are {', '.join(str(known) for known in names)}",
                where=here(),
                fix=_give(parameter),
            )
        if names.index(name) in given:
            raise MisuseError(f"the parameter {name!r} is given twice", where=here(), fix=_give(parameter))
        given[names.index(name)] = value
    if missing := [names[i] or str(i) for i in range(len(names)) if i not in given]:
        raise MisuseError(f"the arguments lack {', '.join(missing)}", where=here(), fix=_give(parameter))
    return tuple(given[index] for index in range(len(names)))


def _give(parameter: Type) -> str:
    return f"the arguments are {parameter}"


def _count(args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    names = f" ({', '.join(kwargs)} by name)" if kwargs else ""
    return f"{len(args) + len(kwargs)}{names}"
