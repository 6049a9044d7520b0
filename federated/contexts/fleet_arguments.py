"""What a caller gives in the fleet: the server's arguments alone, the others being on the devices."""

from collections.abc import Mapping, Sequence
from typing import Any

from federated.compiler.collections import Collections
from federated.compiler.parameters import Part
from federated.contexts.python_values import denoted
from federated.contexts.specialising import known, with_batch, with_parts
from federated.language.arguments import gathered
from federated.language.errors import MisuseError
from federated.language.origin import here
from federated.language.types import StructType, Type


def server_values(parameter: Type | None, parts: Sequence[Part], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """The runtime value of a parameter, with None in the place of what is on the devices.

    Positional arguments are those of the server, in their order.

    Raises:
        MisuseError: a client's value is given, or one of the server's is not.
    """
    if parameter is None:
        return gathered(None, args, kwargs)
    if not isinstance(parameter, StructType) or not any(part.is_clients for part in parts):
        return _whole(parameter, parts, args, kwargs)
    on_devices = _elements_on_devices(parameter, parts)
    if given := sorted(kwargs.keys() & {name for name, _ in on_devices.values()}):
        raise MisuseError(
            f"the argument {given[0]!r} is the clients', who have it on their devices", where=here(), fix="leave it out"
        )
    remaining = [
        (place, name, type_) for place, (name, type_) in enumerate(parameter.items()) if place not in on_devices
    ]
    values = gathered(StructType([(name, type_) for _, name, type_ in remaining]), _listed(remaining, args), kwargs)
    elements: list[Any] = [None] * len(parameter)
    for (place, name, type_), value in zip(remaining, values, strict=True):
        elements[place] = denoted(type_, value, 0, (place if name is None else name,))
    return tuple(elements)


def bound_types(parameter: Type | None, parts: Sequence[Part], value: Any, collections: Collections) -> Type | None:
    """The parameter's type with every shape known: the server's from its values, a batch's from its size.

    Raises:
        CompilationError: a shape is left open.
    """
    if parameter is None:
        return None
    types: list[Type] = []
    for part in parts:
        if part.is_clients:
            types.append(with_batch(part, collections.of(part.path).batch_size))
        else:
            inner = value
            for place in part.index:
                inner = inner[place]
            types.append(known(part, inner)[0])
    return with_parts(parameter, iter(types))


def _whole(parameter: Type, parts: Sequence[Part], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    if any(part.is_clients for part in parts):
        if args or kwargs:
            raise MisuseError(
                f"the argument {parts[0].path!r} is the clients', who have it on their devices",
                where=here(),
                fix="call it without arguments",
            )
        return None
    return denoted(parameter, gathered(parameter, args, kwargs), 0)


def _elements_on_devices(parameter: StructType, parts: Sequence[Part]) -> dict[int, tuple[str | None, Type]]:
    """The elements of a parameter that are the clients', by their places."""
    found = {}
    for place, (name, type_) in enumerate(parameter.items()):
        sides = {part.is_clients for part in parts if part.index[0] == place}
        if len(sides) > 1:
            raise MisuseError(
                f"the argument {name or place} is partly the server's and partly the clients': {type_}",
                where=here(),
                fix="make two parameters of it",
            )
        if sides == {True}:
            found[place] = (name, type_)
    return found


def _listed(remaining: Sequence[Any], args: Sequence[Any]) -> Sequence[Any]:
    # One argument that is a container is that argument, not the whole parameter.
    return [(args[0],)] if len(remaining) == 1 and len(args) == 1 else args
