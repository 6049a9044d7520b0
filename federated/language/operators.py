"""The operators as functions of a federated computation; `federated.language.intrinsics` is their table.

Each takes values of the computation, constants, and Python containers of them; a container of federated values is
zipped first. Each adds a node to the computation that is being traced, so none works outside one.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from federated.language import nodes, robust_means
from federated.language.errors import FederatedError, MisuseError
from federated.language.intrinsics import INTRINSICS, is_option
from federated.language.nodes import Call, Intrinsic, Node
from federated.language.noising import LARGEST_STDDEV
from federated.language.origin import here
from federated.language.placements import CLIENTS, SERVER, Placement
from federated.language.scope import require
from federated.language.types import FederatedType, FunctionType, SequenceType, StructType, Type
from federated.language.values import Value, bound, to_function, to_node


def federated_broadcast(value: Any) -> Value:
    """The server's value at every client: `T@SERVER -> T@CLIENTS`."""
    return _apply("federated_broadcast", value=_federated("federated_broadcast", value))


def federated_map(fn: Any, arg: Any) -> Value:
    """`fn` of every member: `<(T -> U), {T}@P> -> {U}@P`.

    Args:
        fn: a computation, or a Python function of values, which is traced at the member's type.
        arg: a federated value, or a structure of such, which is zipped.
    """
    node = _federated("federated_map", arg)
    return _apply("federated_map", fn=_mapped(fn, node.type, "federated_map's fn"), arg=node)


def federated_map_with_state(fn: Any, initial: Any, arg: Any) -> Value:
    """`fn` of what each client kept the last time, and of its value: `<(<S,T> -> <S,U>), {S}, {T}> -> {U}@CLIENTS`.

    What `fn` gives as the next state stays at the client, for the next run of the same computation; it is kept when the
    client's contribution is accepted. `federated.language.kept` says who the same client is.

    Args:
        fn: takes the state and the value, gives the next state and the result.
        initial: the state of a client that keeps nothing yet, `{S}@CLIENTS`, made of tensors of known shape.
        arg: a federated value, or a structure of such, which is zipped.

    Example:
        >>> fed.federated_map_with_state(lambda count, x: (add(count, x), count), fed.federated_value(0, CLIENTS), xs)
    """
    name = "federated_map_with_state"
    first, value = _federated(name, initial), _federated(name, arg)
    function = to_function(fn, StructType([_member(first.type), _member(value.type)]), f"{name}'s fn")
    return _apply(name, fn=function, initial=first, arg=value)


def federated_zip(value: Any) -> Value:
    """Federated values side by side: `<{T}@P,{U}@P> -> {<T,U>}@P`."""
    _require("federated_zip")
    return _apply("federated_zip", value=to_node(value))


def federated_value(value: Any, placement: Placement) -> Value:
    """A constant at a placement: `T -> T@P`."""
    name = _at("federated_value", placement)
    return _apply(name, value=to_node(value))


def federated_eval(fn: Any, placement: Placement) -> Value:
    """What `fn` gives at each member of a placement: `( -> T) -> {T}@P`."""
    name = _at("federated_eval", placement)
    return _apply(name, fn=to_function(fn, None, "federated_eval's fn"))


def federated_sum(value: Any) -> Value:
    """Σ v over the clients: `{T}@CLIENTS -> T@SERVER`. Exact, rounded once; zero of no clients.

    Raises:
        ExecutionError: when it runs, a sum that does not fit its dtype, or a value that is not finite.
    """
    return _apply("federated_sum", value=_federated("federated_sum", value))


def federated_mean(value: Any, weight: Any = None, *, on_zero_weight: str = "error") -> Value:
    """Σ w v / Σ w over the clients: `<{T}@CLIENTS, {w}@CLIENTS> -> T@SERVER`.

    A client of weight zero counts for nothing, whatever its value.

    Args:
        weight: one number for each client, never negative; None for the plain mean.
        on_zero_weight: what a mean of no clients, or of weights that are all zero, is: `error` or `nan`.
    """
    if on_zero_weight not in ("error", "nan"):
        raise MisuseError(
            f'on_zero_weight is "error" or "nan", found {on_zero_weight!r}',
            where=here(),
            fix="leave it out for an error",
        )
    options = {} if on_zero_weight == "error" else {"on_zero_weight": on_zero_weight}
    node = _federated("federated_mean", value)
    if weight is None:
        return _apply("federated_mean", options, value=node)
    return _apply("federated_weighted_mean", options, value=node, weight=_federated("federated_mean", weight))


def federated_robust_mean(value: Any, kind: str, weight: Any = None, **parameters: float) -> Value:
    """A mean that a few lying clients do not move far: `<{T}@CLIENTS, {w}@CLIENTS> -> T@SERVER`.

    The kinds and their parameters; `federated.language.robust_means` has the formulas and the papers.

        median
        trimmed_mean        fraction: how much is left out at each end, below a half
        krum                byzantine: how many clients may lie; selected: of how many the mean is taken (1)
        geometric_median    iterations (32); smoothing, the ν of the paper (1e-6)

    Args:
        weight: one number for each client; one of weight zero takes no part. For the geometric median alone it also
            says how much a client counts. None for 1.

    Raises:
        ExecutionError: when it runs, no client takes part, or too few for Krum.
    """
    defaults = robust_means.PARAMETERS.get(kind)
    if defaults is None:
        raise MisuseError(f"a robust mean is one of {', '.join(robust_means.PARAMETERS)}, found {kind!r}", where=here())
    given = {**defaults, **parameters}
    if given.keys() != defaults.keys() or None in given.values():
        needed = ", ".join(name if default is None else f"{name}={default}" for name, default in defaults.items())
        raise MisuseError(
            f"the robust mean {kind} is told {needed or 'nothing'}; found {', '.join(parameters) or 'nothing'}",
            where=here(),
        )
    options = {"kind": kind, **{name: repr(number) for name, number in given.items()}}
    for name, number in options.items():
        if not is_option("federated_robust_mean", name, number):
            low, high = robust_means.RANGES[name]
            raise MisuseError(f"{name} is within {low} and {high}, found {number}", where=here())
    weights = federated_value(np.float32(1), CLIENTS) if weight is None else weight
    return _apply(
        "federated_robust_mean",
        options,
        value=_federated("federated_robust_mean", value),
        weight=_federated("federated_robust_mean", weights),
    )


def federated_noised_sum(value: Any, stddev: Any) -> Value:
    """Σ v over the clients, and Gaussian noise: `<{T}@CLIENTS, float32@SERVER> -> T@SERVER`.

    The noise is drawn by the server, for each element, once after the sum, from the operating system's randomness; it
    is of whole numbers on the grid on which the values are summed (`federated.language.noising`). It hides a client
    only where a client's value is bounded: clip it first. Values are floats, below 2^30 / the number of clients.

    Args:
        stddev: of each element's noise: a number, or one that the server knows before the round; 0 for no noise.

    Raises:
        ExecutionError: when it runs, a value that is not finite or too large, or a `stddev` below 0 or above 2^20.
    """
    name = "federated_noised_sum"
    return _apply(name, value=_federated(name, value), stddev=_federated(name, _at_server(stddev)))


def federated_correlated_noised_sum(value: Any, stddev: Any, earlier: Any) -> Value:
    """`federated_noised_sum` from which noise of an earlier round is taken away again, and the noise it drew.

    `<{T}@CLIENTS, float32@SERVER, N@SERVER> -> <sum=T,noise=N>@SERVER`, where N has int64 for T's floats: steps of the
    grid, in which all of this is added up. Whoever knows the noise has the sum, so it stays in the server's state.
    """
    name = "federated_correlated_noised_sum"
    return _apply(
        name,
        value=_federated(name, value),
        stddev=_federated(name, _at_server(stddev)),
        earlier=_federated(name, earlier),
    )


def federated_min(value: Any) -> Value:
    """The smallest over the clients: `{T}@CLIENTS -> T@SERVER`; of no clients, the dtype's largest."""
    return _apply("federated_min", value=_federated("federated_min", value))


def federated_max(value: Any) -> Value:
    """The largest over the clients: `{T}@CLIENTS -> T@SERVER`; of no clients, the dtype's smallest."""
    return _apply("federated_max", value=_federated("federated_max", value))


def federated_aggregate(value: Any, zero: Any, accumulate: Any, merge: Any, report: Any) -> Value:
    """A custom aggregation: `report` of the clients' values accumulated from `zero`.

    Args:
        value: `{T}@CLIENTS`.
        zero: `A`, the accumulator of no clients.
        accumulate: `(<A,T> -> A)`, one more client.
        merge: `(<A,A> -> A)`, two groups of clients; associative and commutative.
        report: `(A -> R)`.

    Returns:
        `R@SERVER`.
    """
    node = _federated("federated_aggregate", value)
    start = to_node(zero)
    pair = StructType([start.type, _member(node.type)])
    adding = to_function(accumulate, pair, "federated_aggregate's accumulate")
    accumulator = adding.type.result if isinstance(adding.type, FunctionType) else start.type
    merging = to_function(merge, StructType([accumulator, accumulator]), "federated_aggregate's merge")
    reporting = to_function(report, accumulator, "federated_aggregate's report")
    return _apply("federated_aggregate", value=node, zero=start, accumulate=adding, merge=merging, report=reporting)


def federated_select(client_keys: Any, max_key: Any, server_val: Any, select_fn: Any) -> Value:
    """For each client the slices of a server's value that its keys name.

    Args:
        client_keys: `{int32[n]}@CLIENTS`.
        max_key: `int32@SERVER`, more than any key.
        server_val: `T@SERVER`.
        select_fn: `(<T,int32> -> U)`, the slice for a key.

    Returns:
        `{U*}@CLIENTS`, in the order of the keys.
    """
    value = _federated("federated_select", server_val)
    keys = _federated("federated_select", client_keys)
    highest = _federated("federated_select", max_key)
    key_type = getattr(highest.type, "member", highest.type)
    function = to_function(select_fn, StructType([_member(value.type), key_type]), "federated_select's select_fn")
    return _apply("federated_select", client_keys=keys, max_key=highest, server_val=value, select_fn=function)


def federated_secure_sum(value: Any, max_input: Any) -> Value:
    """Σ v of integers within 0 and `max_input`, of which no one sees a single client's.

    Args:
        max_input: one bound, or a structure with one for each tensor of the value.
    """
    node = _federated("federated_secure_sum", value)
    return _apply("federated_secure_sum", value=node, max_input=to_node(max_input))


def federated_secure_sum_bitwidth(value: Any, bitwidth: Any) -> Value:
    """`federated_secure_sum` of integers within 0 and 2^bitwidth - 1."""
    node = _federated("federated_secure_sum_bitwidth", value)
    return _apply("federated_secure_sum_bitwidth", value=node, bitwidth=to_node(bitwidth))


def federated_secure_modular_sum(value: Any, modulus: Any) -> Value:
    """Σ v modulo `modulus`, of integers within 0 and modulus - 1, of which no one sees a single client's."""
    node = _federated("federated_secure_modular_sum", value)
    return _apply("federated_secure_modular_sum", value=node, modulus=to_node(modulus))


def sequence_map(fn: Any, value: Any) -> Value:
    """`fn` of every element of a sequence, or of every member's sequence: `<(T -> U), T*> -> U*`."""
    node = _required("sequence_map", value)
    if isinstance(node.type, FederatedType):
        return federated_map(lambda sequence: sequence_map(fn, sequence), value)
    function = _mapped(fn, node.type, "sequence_map's fn")
    return _apply("sequence_map", fn=function, value=node)


def sequence_reduce(value: Any, zero: Any, op: Any) -> Value:
    """A sequence's elements put together from the first to the last: `<T*, U, (<U,T> -> U)> -> U`.

    A federated sequence is reduced by every member on its own, from its own `zero`.
    """
    node = _required("sequence_reduce", value)
    if isinstance(node.type, FederatedType):
        start = zero if isinstance(zero, Value) else federated_value(zero, node.type.placement)
        return federated_map(lambda pair: sequence_reduce(pair[0], pair[1], op), [value, start])
    start_node = to_node(zero)
    element = node.type.element if isinstance(node.type, SequenceType) else node.type
    function = to_function(op, StructType([start_node.type, element]), "sequence_reduce's op")
    return _apply("sequence_reduce", value=node, zero=start_node, op=function)


def sequence_sum(value: Any) -> Value:
    """Σ of a sequence's elements, or of every member's: `T* -> T`; zero of none."""
    node = _required("sequence_sum", value)
    if isinstance(node.type, FederatedType):
        return federated_map(sequence_sum, value)
    return _apply("sequence_sum", value=node)


def _apply(name: str, options: Mapping[str, str] | None = None, /, **arguments: Node) -> Value:
    """The call of an operator, bound in the computation; a refusal gets the user's line."""
    origin = here()
    values = tuple(arguments.values())
    try:
        result = INTRINSICS[name].result_type([value.type for value in values])
    except FederatedError as error:
        error.where = error.where or origin
        raise
    argument = values[0] if len(values) == 1 else nodes.structure(values, origin)
    intrinsic = Intrinsic(name, FunctionType(argument.type, result), dict(options or {}), origin=origin)
    return bound(Call(intrinsic, argument, result, origin=origin))


def _require(name: str) -> None:
    require(f"fed.{name}")


def _required(name: str, value: Any) -> Node:
    _require(name)
    return to_node(value)


def _federated(name: str, value: Any) -> Node:
    """A federated value; a structure of such is zipped."""
    node = _required(name, value)
    if isinstance(node.type, StructType) and _holds_federated(node.type):
        return federated_zip(value).as_node()
    return node


def _at_server(stddev: Any) -> Any:
    """A number of the program's as a value at the server."""
    if not isinstance(stddev, (int, float, np.number)):
        return stddev
    if not 0 <= stddev <= LARGEST_STDDEV:
        raise MisuseError(
            f"the stddev of a noise is from 0 to {LARGEST_STDDEV:,.0f}, found {stddev}",
            where=here(),
            fix="0 is no noise",
        )
    return federated_value(np.float32(stddev), SERVER)


def _holds_federated(type_: Type) -> bool:
    return isinstance(type_, FederatedType) or (
        isinstance(type_, StructType) and any(_holds_federated(element) for element in type_)
    )


def _member(type_: Type) -> Type:
    return type_.member if isinstance(type_, FederatedType) else type_


def _mapped(fn: Any, type_: Type, what: str) -> Node:
    """The function that is applied to each member, or element, of a value."""
    member = type_.element if isinstance(type_, SequenceType) else _member(type_)
    return to_function(fn, member, what)


def _at(name: str, placement: Placement) -> str:
    _require(name)
    if placement == CLIENTS:
        return f"{name}_at_clients"
    if placement == SERVER:
        return f"{name}_at_server"
    raise MisuseError(
        f"{name}'s placement is fed.CLIENTS or fed.SERVER, found {placement!r}",
        where=here(),
        fix="give one of the two, not its name",
    )
