"""The typing rules of the language's operators; `federated.language.intrinsics` is their table.

Each takes the types of an operator's arguments and gives the type of its result, or says what is wrong: with the
operator's name, both types, and the way out.
"""

from collections.abc import Iterator

import numpy as np

from federated.language.errors import MisuseError, PlacementError, TypeMismatchError
from federated.language.placements import CLIENTS, SERVER, Placement
from federated.language.types import (
    FederatedType,
    FunctionType,
    SequenceType,
    StructType,
    StructWithPythonType,
    TensorType,
    Type,
)

_AT = {
    CLIENTS: "fed.federated_broadcast brings a value from SERVER to CLIENTS",
    SERVER: "fed.federated_sum, fed.federated_mean or fed.federated_aggregate bring a value from CLIENTS to SERVER",
}
_PLACE = (
    "declare it at a placement, fed.FederatedType(…, fed.SERVER), or place a constant, "
    "fed.federated_value(…, fed.SERVER)"
)
_ZERO = "give a zero of the type expected, such as np.float32(0)"
FUNCTIONS = "give a fed.tf_computation, a fed.federated_computation, or a Python function of values"


def broadcast(value: Type) -> Type:
    """`T@SERVER -> T@CLIENTS`."""
    return FederatedType(_placed("federated_broadcast", value, SERVER).member, CLIENTS, all_equal=True)


def map_(fn: Type, arg: Type) -> Type:
    """`<(T -> U), {T}@P> -> {U}@P`."""
    federated = _federated("federated_map", arg)
    function = _function("federated_map", "fn", fn)
    if function.parameter is None:
        raise MisuseError(
            f"federated_map's fn takes nothing, but is to be applied to {federated.member}",
            fix="fed.federated_eval evaluates a function of nothing",
        )
    _assignable("federated_map's fn takes something else than the members", function.parameter, federated.member)
    return FederatedType(function.result, federated.placement)


def map_with_state(fn: Type, initial: Type, arg: Type) -> Type:
    """`<(<S,T> -> <S,U>), {S}@CLIENTS, {T}@CLIENTS> -> {U}@CLIENTS`, where S is made of tensors of known shape."""
    name = "federated_map_with_state"
    state = _placed(f"{name}'s initial", initial, CLIENTS).member
    value = _placed(f"{name}'s arg", arg, CLIENTS).member
    for leaf in _leaves(state):
        if (
            not isinstance(leaf, TensorType)
            or leaf.shape is None
            or None in leaf.shape
            or leaf.dtype.kind not in "biuf"
        ):
            raise MisuseError(
                f"{name}'s state is made of numbers of known shape, found {leaf}",
                fix="declare every size; a sequence is kept as one tensor",
            )
    function = _function(name, "fn", fn)
    result = function.result
    if not isinstance(result, StructType) or len(result) != 2:  # noqa: PLR2004 - a pair
        raise MisuseError(
            f"{name}'s fn gives a pair, the next state and the result, found {result}", fix="return state, result"
        )
    _assignable(
        f"{name}'s fn must take the state and the argument",
        FunctionType(StructType([state, value]), result),
        function,
    )
    _assignable(f"{name}'s fn gives another state than it takes", state, result[0])
    return FederatedType(result[1], CLIENTS)


def zip_(value: Type) -> Type:
    """`<{T}@P, {U}@P, …> -> {<T,U,…>}@P`, of nested structures too."""
    federated = list(_federated_leaves(value))
    if not federated:
        raise MisuseError(f"federated_zip takes a structure of federated values, found {value}", fix=_PLACE)
    if len({leaf.placement for leaf in federated}) > 1:
        raise PlacementError(
            f"values at different placements do not go together: {value}", fix=_AT[CLIENTS] + "; " + _AT[SERVER]
        )
    return FederatedType(
        _members("federated_zip", value), federated[0].placement, all(leaf.all_equal for leaf in federated)
    )


def value_at_clients(value: Type) -> Type:
    """`T -> T@CLIENTS`."""
    return FederatedType(_plain("federated_value", value), CLIENTS, all_equal=True)


def value_at_server(value: Type) -> Type:
    """`T -> T@SERVER`."""
    return FederatedType(_plain("federated_value", value), SERVER)


def eval_at_clients(fn: Type) -> Type:
    """`( -> T) -> {T}@CLIENTS`."""
    return FederatedType(_nullary("federated_eval", fn), CLIENTS)


def eval_at_server(fn: Type) -> Type:
    """`( -> T) -> T@SERVER`."""
    return FederatedType(_nullary("federated_eval", fn), SERVER)


def sum_(value: Type) -> Type:
    """`{T}@CLIENTS -> T@SERVER`, of numbers."""
    return _at_server(_numbers("federated_sum", value, "iuf"))


def mean(value: Type) -> Type:
    """`{T}@CLIENTS -> T@SERVER`, of floats."""
    return _at_server(_numbers("federated_mean", value, "f"))


def weighted_mean(value: Type, weight: Type) -> Type:
    """`<{T}@CLIENTS, {w}@CLIENTS> -> T@SERVER`, with one number as the weight."""
    result = mean(value)
    _check_weight("federated_mean", weight)
    return result


def robust_mean(value: Type, weight: Type) -> Type:
    """`<{T}@CLIENTS, {w}@CLIENTS> -> T@SERVER`, with one number as the weight."""
    result = _at_server(_numbers("federated_robust_mean", value, "f"))
    _check_weight("federated_robust_mean", weight)
    return result


def noised_sum(value: Type, stddev: Type) -> FederatedType:
    """`<{T}@CLIENTS, float32@SERVER> -> T@SERVER`, of floats."""
    name = "federated_noised_sum"
    result = _at_server(_numbers(name, value, "f"))
    size = _placed(f"{name}'s stddev", stddev, SERVER).member
    if size != TensorType(np.float32):
        raise MisuseError(f"{name}'s stddev must be a float32, found {size}", fix="give a number, or a float32@SERVER")
    return result


def correlated_noised_sum(value: Type, stddev: Type, earlier: Type) -> Type:
    """`<{T}@CLIENTS, float32@SERVER, N@SERVER> -> <sum=T,noise=N>@SERVER`, where N is T with int64 for floats."""
    name = "federated_correlated_noised_sum"
    member = noised_sum(value, stddev).member
    before = _placed(f"{name}'s earlier", earlier, SERVER).member
    shapes = [leaf.shape for leaf in _leaves(member) if isinstance(leaf, TensorType)]
    if list(_leaves(before)) != [TensorType(np.int64, shape) for shape in shapes]:
        raise MisuseError(
            f"{name}'s earlier must have an int64 for each float of {member}, found {before}",
            fix="start from zeros, and then give what this operator called noise",
        )
    return _at_server(StructType([("sum", member), ("noise", before)]))


def min_(value: Type) -> Type:
    """`{T}@CLIENTS -> T@SERVER`, of numbers."""
    return _at_server(_numbers("federated_min", value, "iuf"))


def max_(value: Type) -> Type:
    """`{T}@CLIENTS -> T@SERVER`, of numbers."""
    return _at_server(_numbers("federated_max", value, "iuf"))


def aggregate(value: Type, zero: Type, accumulate: Type, merge: Type, report: Type) -> Type:
    """`<{T}@CLIENTS, Z, (<A,T> -> A), (<A,A> -> A), (A -> R)> -> R@SERVER`, where an A can start as a Z."""
    name = "federated_aggregate"
    member = _placed(name, value, CLIENTS).member
    adding, merging, reporting = (
        _function(name, what, type_)
        for what, type_ in (("accumulate", accumulate), ("merge", merge), ("report", report))
    )
    accumulator = adding.result
    _assignable(
        f"{name}'s accumulate must take what it gives, and a client's value",
        FunctionType(StructType([accumulator, member]), accumulator),
        adding,
    )
    _assignable(f"{name}'s zero is not what accumulate starts from", accumulator, zero, _ZERO)
    _assignable(
        f"{name}'s merge must take two of what accumulate gives",
        FunctionType(StructType([accumulator, accumulator]), accumulator),
        merging,
    )
    _assignable(
        f"{name}'s report must take what merge gives", FunctionType(merging.result, reporting.result), reporting
    )
    return _at_server(reporting.result)


def select(client_keys: Type, max_key: Type, server_val: Type, select_fn: Type) -> Type:
    """`<{int32[n]}@CLIENTS, int32@SERVER, T@SERVER, (<T,int32> -> U)> -> {U*}@CLIENTS`."""
    name = "federated_select"
    keys = _placed(f"{name}'s client_keys", client_keys, CLIENTS).member
    if not isinstance(keys, TensorType) or keys.dtype != np.int32 or keys.shape is None or len(keys.shape) != 1:
        raise MisuseError(
            f"{name}'s client_keys must be int32[n] for each client, found {keys}",
            fix="declare them as (np.int32, [n]); one key is a vector of one",
        )
    if keys.shape[0] is None:
        raise MisuseError(
            f"{name}'s client_keys must be of a known number, found {keys}", fix="declare how many keys a client has"
        )
    highest = _placed(f"{name}'s max_key", max_key, SERVER).member
    if highest != TensorType(np.int32):
        raise MisuseError(f"{name}'s max_key must be an int32, found {highest}", fix="declare it as np.int32")
    value = _placed(f"{name}'s server_val", server_val, SERVER).member
    function = _function(name, "select_fn", select_fn)
    _assignable(
        f"{name}'s select_fn must take the server's value and a key",
        FunctionType(StructType([value, TensorType(np.int32)]), function.result),
        function,
    )
    return FederatedType(SequenceType(function.result), CLIENTS)


def secure_sum(value: Type, max_input: Type) -> Type:
    """`<{T}@CLIENTS, M> -> T@SERVER`, of integers; M is one bound, or one for each tensor of T."""
    return _bounded("federated_secure_sum", "max_input", value, max_input)


def secure_sum_bitwidth(value: Type, bitwidth: Type) -> Type:
    """`<{T}@CLIENTS, M> -> T@SERVER`, of integers below 2^bitwidth."""
    return _bounded("federated_secure_sum_bitwidth", "bitwidth", value, bitwidth)


def secure_modular_sum(value: Type, modulus: Type) -> Type:
    """`<{T}@CLIENTS, M> -> T@SERVER`, of integers below the modulus."""
    return _bounded("federated_secure_modular_sum", "modulus", value, modulus)


def sequence_map(fn: Type, value: Type) -> Type:
    """`<(T -> U), T*> -> U*`."""
    element = _sequence("sequence_map", value).element
    function = _function("sequence_map", "fn", fn)
    _assignable(
        "sequence_map's fn takes something else than the elements", FunctionType(element, function.result), function
    )
    return SequenceType(function.result)


def sequence_reduce(value: Type, zero: Type, op: Type) -> Type:
    """`<T*, U, (<U,T> -> U)> -> U`."""
    element = _sequence("sequence_reduce", value).element
    function = _function("sequence_reduce", "op", op)
    _assignable(
        "sequence_reduce's op must take what it gives, and an element",
        FunctionType(StructType([function.result, element]), function.result),
        function,
    )
    _assignable("sequence_reduce's zero is not what op starts from", function.result, zero, _ZERO)
    return function.result


def sequence_sum(value: Type) -> Type:
    """`T* -> T`, of numbers."""
    element = _sequence("sequence_sum", value).element
    _check_numbers("sequence_sum", element, "iuf")
    return element


def _at_server(member: Type) -> FederatedType:
    return FederatedType(member, SERVER)


def _federated(name: str, type_: Type) -> FederatedType:
    if isinstance(type_, FederatedType):
        return type_
    raise PlacementError(
        f"{name} takes a federated value, found {type_}, which is placed nowhere",
        fix=_PLACE,
    )


def _placed(name: str, type_: Type, placement: Placement) -> FederatedType:
    federated = _federated(name, type_)
    if federated.placement != placement:
        raise PlacementError(f"{name} takes a value at {placement}, found {type_}", fix=_AT[placement])
    return federated


def _plain(name: str, type_: Type) -> Type:
    if any(_federated_leaves(type_)) or isinstance(type_, FunctionType):
        raise PlacementError(
            f"{name} takes a value that is placed nowhere yet, found {type_}",
            fix="use the value as it is; " + _AT[CLIENTS] + "; " + _AT[SERVER],
        )
    return type_


def _function(name: str, what: str, type_: Type) -> FunctionType:
    if not isinstance(type_, FunctionType):
        raise MisuseError(f"{name}'s {what} must be a function, found {type_}", fix=FUNCTIONS)
    if any(_federated_leaves(type_)):
        raise MisuseError(
            f"{name}'s {what} is applied by each member on its own, so it can hold nothing federated, found {type_}",
            fix="move the federated operator out of it",
        )
    return type_


def _nullary(name: str, type_: Type) -> Type:
    function = _function(name, "fn", type_)
    if function.parameter is not None:
        raise MisuseError(
            f"{name}'s fn must take nothing, found {type_}", fix="fed.federated_map applies a function to a value"
        )
    return function.result


def _sequence(name: str, type_: Type) -> SequenceType:
    if not isinstance(type_, SequenceType):
        raise MisuseError(
            f"{name} takes a sequence, found {type_}", fix="declare the parameter as fed.SequenceType(element)"
        )
    return type_


def _assignable(message: str, expected: Type, found: Type, fix: str = "") -> None:
    difference = expected.difference_from(found)
    if difference is not None:
        fix = fix or "change the function's types, or cast the values in a fed.tf_computation before"
        raise TypeMismatchError(message, expected=expected, found=found, difference=difference, fix=fix)


def _check_weight(name: str, weight: Type) -> None:
    member = _placed(f"{name}'s weight", weight, CLIENTS).member
    if not isinstance(member, TensorType) or member.shape != () or member.dtype.kind not in "iuf":
        raise MisuseError(
            f"{name}'s weight must be one number for each client, found {member}",
            fix="compute one in a fed.tf_computation, and apply that with fed.federated_map",
        )


def _numbers(name: str, value: Type, kinds: str) -> Type:
    member = _placed(name, value, CLIENTS).member
    _check_numbers(name, member, kinds)
    return member


_KINDS = {"f": "floats", "iu": "integers", "iuf": "numbers"}


def _check_numbers(name: str, member: Type, kinds: str) -> None:
    for leaf in _leaves(member):
        if not isinstance(leaf, TensorType) or leaf.dtype.kind not in kinds:
            inside = "" if leaf is member else f" in {member}"
            raise MisuseError(
                f"{name} takes {_KINDS[kinds]}, found {leaf}{inside}",
                fix="cast the values in a fed.tf_computation, and apply that with fed.federated_map",
            )
        if leaf.shape is None or None in leaf.shape:
            raise MisuseError(
                f"{name} takes tensors of known shape, found {leaf}",
                fix="declare every size, or reduce the tensor in a fed.tf_computation",
            )


def _bounded(name: str, what: str, value: Type, bound: Type) -> Type:
    member = _numbers(name, value, "iu")
    bounds = list(_leaves(bound))
    if not all(isinstance(leaf, TensorType) and leaf.shape == () and leaf.dtype.kind in "iu" for leaf in bounds):
        raise MisuseError(
            f"{name}'s {what} must be an integer, or one for each tensor of {member}; found {bound}",
            fix="give a Python int, or a structure of them like the value's",
        )
    if isinstance(bound, StructType) and len(bounds) != len(list(_leaves(member))):
        raise MisuseError(
            f"{name}'s {what} has {len(bounds)} integers, but the value is {member}",
            fix="give one integer for all tensors, or one for each",
        )
    return _at_server(member)


def _leaves(type_: Type) -> Iterator[Type]:
    if isinstance(type_, StructType):
        for element in type_:
            yield from _leaves(element)
    else:
        yield type_


def _federated_leaves(type_: Type) -> Iterator[FederatedType]:
    if isinstance(type_, FederatedType):
        yield type_
    else:
        for child in type_.children():
            yield from _federated_leaves(child)


def _members(name: str, type_: Type) -> Type:
    if isinstance(type_, FederatedType):
        return type_.member
    if isinstance(type_, StructType):
        elements = [(label, _members(name, element)) for label, element in type_.items()]
        return _like(type_, elements)
    raise PlacementError(f"{name} takes federated values alone, found {type_}", fix=_PLACE)


def _like(type_: StructType, elements: list[tuple[str | None, Type]]) -> StructType:
    container = type_.python_container
    return StructType(elements) if container is None else StructWithPythonType(elements, container)
