"""What the language's operators become in a flat program: an operation, or a few.

One function a row of `federated.language.intrinsics`; each takes the symbols of the operator's arguments.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from federated.compiler.flat import Aggregate, Constant, HasState, Kept, Region, Tensor, captures
from federated.compiler.inlining import (
    Inlining,
    Listed,
    Operation,
    Streamed,
    Symbol,
    constant,
    flat,
    flat_symbol,
    formals,
    unflat,
)
from federated.compiler.sections import reachable
from federated.language.errors import CompilationError
from federated.language.nodes import Intrinsic
from federated.language.origin import Origin
from federated.language.placements import CLIENTS, SERVER
from federated.language.types import FederatedType, StructType, TensorType, Type
from plans.manifest import Kind


def _broadcast(inlining: Inlining, node: Intrinsic, value: Symbol, origin: Origin | None) -> Symbol:
    return _each(node, value, lambda tensor: inlining.at_clients(tensor, origin))


def _map(inlining: Inlining, node: Intrinsic, arguments: Symbol, origin: Origin | None) -> Symbol:
    fn, arg = arguments
    assert isinstance(node.type.result, FederatedType)  # noqa: S101 - the typing rule made it
    return fn(arg, node.type.result.placement)


def _map_with_state(inlining: Inlining, node: Intrinsic, arguments: Symbol, origin: Origin | None) -> Symbol:
    """What a client kept, or its initial state, goes in; what comes out is kept, whether or not anything uses it."""
    fn, initial, arg = arguments
    state = _member(_argument_types(node)[1])
    number, inlining.keeping_operators = inlining.keeping_operators, inlining.keeping_operators + 1
    first = [inlining.at_clients(tensor, origin) for tensor in flat_symbol(initial)]
    before = [Tensor(Kept(number, leaf, origin), 0, tensor.type) for leaf, tensor in enumerate(first)]
    has_state = Tensor(HasState(origin), 0, TensorType(np.float32))
    chosen = inlining.apply(inlining.library.arithmetic("choose"), [has_state, *before, *first], CLIENTS, origin)
    after, result = fn((unflat(state, iter(chosen)), arg), CLIENTS)
    inlining.kept += zip(before, (inlining.at_clients(t, origin) for t in flat_symbol(after)), strict=True)
    return result


def _unchanged(inlining: Inlining, node: Intrinsic, value: Symbol, origin: Origin | None) -> Symbol:
    return value


def _value_at_clients(inlining: Inlining, node: Intrinsic, value: Symbol, origin: Origin | None) -> Symbol:
    return _each(node, value, lambda tensor: inlining.at_clients(tensor, origin))


def _eval_at_clients(inlining: Inlining, node: Intrinsic, fn: Symbol, origin: Origin | None) -> Symbol:
    return fn(None, CLIENTS)


def _eval_at_server(inlining: Inlining, node: Intrinsic, fn: Symbol, origin: Origin | None) -> Symbol:
    return fn(None, SERVER)


def _aggregated(kind: Kind) -> Operation:
    def operation(inlining: Inlining, node: Intrinsic, value: Symbol, origin: Origin | None) -> Symbol:
        values = tuple(flat_symbol(value))
        return _outputs(node, Aggregate(node.name, kind, values, origin=origin), values)

    return operation


def _mean(inlining: Inlining, node: Intrinsic, value: Symbol, origin: Origin | None) -> Symbol:
    values = tuple(flat_symbol(value))
    return _divided(inlining, node, values, constant(1, np.float32, origin), origin)


def _weighted_mean(inlining: Inlining, node: Intrinsic, arguments: Symbol, origin: Origin | None) -> Symbol:
    value, weight = arguments
    weigh = inlining.library.arithmetic("weigh")
    products = inlining.apply(weigh, [weight, *flat_symbol(value)], CLIENTS, origin)
    if weight.type.dtype.kind in "iu":  # many weights may come to more than their own dtype holds
        (weight,) = inlining.apply(inlining.library.arithmetic("widen"), [weight], CLIENTS, origin)
    return _divided(inlining, node, products, weight, origin)


def _divided(
    inlining: Inlining, node: Intrinsic, products: tuple[Tensor, ...], weight: Tensor, origin: Origin | None
) -> Symbol:
    """A client has multiplied; the server divides one sum by the other."""
    on_zero_weight = node.options.get("on_zero_weight", "error")
    aggregate = Aggregate(node.name, Kind.MEAN, products, weight, on_zero_weight=on_zero_weight, origin=origin)
    sums = [Tensor(aggregate, index, tensor.type) for index, tensor in enumerate(aggregate.inputs)]
    means = inlining.apply(inlining.library.arithmetic("divide"), [sums[-1], *sums[:-1]], SERVER, origin)
    return unflat(_member(node.type.result), iter(means))


def _robust_mean(inlining: Inlining, node: Intrinsic, arguments: Symbol, origin: Origin | None) -> Symbol:
    """Values and weights go apart; a value that does not count is zero, as whoever checks it wants it finite."""
    value, weight = arguments
    mask = inlining.library.arithmetic("mask")
    values = inlining.apply(mask, [weight, *flat_symbol(value)], CLIENTS, origin)
    parameters = {name: float(number) for name, number in node.options.items() if name != "kind"}
    kind = Kind(node.options["kind"])
    aggregate = Aggregate(node.name, kind, values, weight, parameters=parameters, origin=origin)
    return _outputs(node, aggregate, values)


def _noised_sum(inlining: Inlining, node: Intrinsic, arguments: Symbol, origin: Origin | None) -> Symbol:
    value, stddev = arguments
    values = tuple(flat_symbol(value))
    if not isinstance(stddev.operation, Constant):
        (stddev,) = _before_the_round(inlining, "stddev", [stddev], origin)
    return _outputs(node, Aggregate(node.name, Kind.SUM, values, stddev=stddev, origin=origin), values)


def _correlated_noised_sum(inlining: Inlining, node: Intrinsic, arguments: Symbol, origin: Origin | None) -> Symbol:
    value, stddev, earlier = arguments
    values = tuple(flat_symbol(value))
    if not isinstance(stddev.operation, Constant):
        (stddev,) = _before_the_round(inlining, "stddev", [stddev], origin)
    before = tuple(_before_the_round(inlining, "earlier", list(flat_symbol(earlier)), origin))
    aggregate = Aggregate(node.name, Kind.SUM, values, stddev=stddev, earlier=before, origin=origin)
    return _outputs(node, aggregate, (*values, *before))


def _before_the_round(inlining: Inlining, what: str, tensors: list[Tensor], origin: Origin | None) -> Iterator[Tensor]:
    """Tensors that the server has when it adds the noise, each with a place of its own."""
    for tensor in tensors:
        for behind in reachable([tensor], through=True):
            if isinstance(behind.operation, Aggregate):
                raise CompilationError(
                    f"the {what} of this noise comes from {behind.operation.name} in the same computation "
                    f"({behind.operation.origin}); the server needs it before the round",
                    where=origin,
                    fix="make two computations of it, and pass what the first gives to the second",
                )
        if tensor.place is None:  # a constant, which would be computed anywhere
            one = constant(1, np.float32, origin)
            yield from inlining.apply(inlining.library.arithmetic("mask"), [one, tensor], SERVER, origin)
        else:
            yield tensor


def _aggregate(inlining: Inlining, node: Intrinsic, arguments: Symbol, origin: Origin | None) -> Symbol:
    value, zero, accumulate, merge, report = arguments
    values = tuple(flat_symbol(value))
    value_type, _, accumulate_type, *_ = _argument_types(node)
    start = tuple(flat_symbol(zero))
    types = [tensor.type for tensor in start]
    accumulator = _result(accumulate_type)

    def traced(function: Symbol, *parts: tuple[Type, Sequence[Any]]) -> Region:
        region = Region()
        symbols = []
        for index, (type_, tensor_types) in enumerate(parts):
            tensors = formals(region, tensor_types, f"part{index}_")
            region.parameters = (*region.parameters, *tensors)
            symbols.append(unflat(type_, iter(tensors)))
        region.results = tuple(flat_symbol(function(symbols[0] if len(symbols) == 1 else tuple(symbols), SERVER)))
        return _closed(region, origin)

    functions = {
        "zero": _closed(Region((), start), origin),
        "accumulate": traced(
            accumulate, (accumulator, types), (_member(value_type), [tensor.type for tensor in values])
        ),
        "merge": traced(merge, (accumulator, types), (accumulator, types)),
        "report": traced(report, (accumulator, types)),
    }
    if not values or not start or not functions["report"].results:
        raise CompilationError(
            "federated_aggregate takes, accumulates and gives at least one tensor in a plan",
            where=origin,
            fix="give it a constant, such as fed.federated_value(1, fed.CLIENTS), to count clients",
        )
    aggregate = Aggregate(node.name, Kind.CUSTOM, values, functions=functions, origin=origin)
    return _outputs(node, aggregate, functions["report"].results)


def _closed(region: Region, origin: Origin | None) -> Region:
    if captures(region):
        raise CompilationError(
            "a function of federated_aggregate uses a value from outside; it is called with the clients' values alone",
            where=origin,
            fix="put what it needs into its zero as a constant, or use it in a fed.federated_map of the result",
        )
    return region


def _select(inlining: Inlining, node: Intrinsic, arguments: Symbol, origin: Origin | None) -> Symbol:
    """The whole value is broadcast and each device takes its slices: nobody learns its keys."""
    keys, _, server_val, select_fn = arguments
    whole = _each_of(_member(_argument_types(node)[2]), server_val, lambda tensor: inlining.at_clients(tensor, origin))
    items = inlining.apply(inlining.library.arithmetic("items"), [keys], CLIENTS, origin)
    return Listed(tuple(select_fn((whole, key), CLIENTS) for key in items))


def _secure(kind: Kind, limit: Callable[[int], int]) -> Operation:
    def operation(inlining: Inlining, node: Intrinsic, arguments: Symbol, origin: Origin | None) -> Symbol:
        value, bound = arguments
        values, bounds = tuple(flat_symbol(value)), [_integer(node, tensor, origin) for tensor in flat_symbol(bound)]
        limits = tuple(limit(number) for number in (bounds * len(values) if len(bounds) == 1 else bounds))
        for number, tensor in zip(limits, values, strict=True):
            _check_limit(node, number, tensor, origin)
        return _outputs(node, Aggregate(node.name, kind, values, limits=limits, origin=origin), values)

    return operation


def _integer(node: Intrinsic, tensor: Tensor, origin: Origin | None) -> int:
    value = getattr(tensor.operation, "value", None)
    if value is None:
        raise CompilationError(
            f"{node.name}'s bound is computed by the program; in a plan it is a number, which devices read first",
            where=origin,
            fix="write the bound as a number",
        )
    return int(value)


def _check_limit(node: Intrinsic, limit: int, tensor: Tensor, origin: Origin | None) -> None:
    largest = int(np.iinfo(tensor.type.dtype).max)
    if not 1 <= limit <= largest:
        raise CompilationError(
            f"{node.name} of {tensor.type} is bounded by {limit}, which is not within 1 and {largest}",
            where=origin,
            fix="cast the values to a wider integer in a fed.tf_computation, or write another bound",
        )


def _sequence_map(inlining: Inlining, node: Intrinsic, arguments: Symbol, origin: Origin | None) -> Symbol:
    fn, sequence = arguments
    return inlining.mapped(sequence, lambda element: fn(element, CLIENTS))


def _sequence_reduce(inlining: Inlining, node: Intrinsic, arguments: Symbol, origin: Origin | None) -> Symbol:
    sequence, zero, op = arguments

    def step(totals: Sequence[Tensor], element: Symbol) -> Sequence[Tensor]:
        return tuple(flat_symbol(op((unflat(node.type.result, iter(totals)), element), CLIENTS)))

    return unflat(node.type.result, iter(inlining.fold(sequence, tuple(flat_symbol(zero)), step, origin)))


def _sequence_sum(inlining: Inlining, node: Intrinsic, sequence: Streamed | Listed, origin: Origin | None) -> Symbol:
    """Σ of the elements, exact but for the last rounding: floats carry the error of every addition along (Knuth's
    TwoSum), integers are summed as int64, and what does not fit their dtype fails on the device.
    """
    library, types = inlining.library, _leaves(node.type.result)
    names = ["float" if leaf.dtype.kind == "f" else "integer" for leaf in types]
    starts = [[np.zeros(leaf.shape)] * (2 if name == "float" else 1) for leaf, name in zip(types, names, strict=True)]
    zero = [
        constant(start, leaf.dtype if name == "float" else np.int64, origin)
        for leaf, name, several in zip(types, names, starts, strict=True)
        for start in several
    ]

    def split(totals: Sequence[Tensor]) -> list[list[Tensor]]:
        remaining = iter(totals)
        return [[next(remaining) for _ in several] for several in starts]

    def step(totals: Sequence[Tensor], element: Symbol) -> Sequence[Tensor]:
        return [
            tensor
            for name, own, value in zip(names, split(totals), flat_symbol(element), strict=True)
            for tensor in inlining.apply(library.arithmetic(f"add_{name}"), [*own, value], CLIENTS, origin)
        ]

    totals = split(inlining.fold(sequence, zero, step, origin))
    sums = [
        inlining.apply(library.arithmetic(f"settle_{leaf.dtype.name}"), own, CLIENTS, origin)[0]
        for leaf, own in zip(types, totals, strict=True)
    ]
    return unflat(node.type.result, iter(sums))


def _outputs(node: Intrinsic, aggregate: Aggregate, like: Sequence[Tensor]) -> Symbol:
    tensors = [Tensor(aggregate, index, tensor.type) for index, tensor in enumerate(like)]
    return unflat(_member(node.type.result), iter(tensors))


def _each(node: Intrinsic, value: Symbol, function: Callable[[Tensor], Tensor]) -> Symbol:
    return _each_of(_member(node.type.result), value, function)


def _each_of(type_: Type, value: Symbol, function: Callable[[Tensor], Tensor]) -> Symbol:
    return unflat(type_, iter([function(tensor) for tensor in flat(type_, value)]))


def _leaves(type_: Type) -> list[Any]:
    if isinstance(type_, StructType):
        return [leaf for element in type_ for leaf in _leaves(element)]
    return [type_]


def _member(type_: Type) -> Type:
    return type_.member if isinstance(type_, FederatedType) else type_


def _result(type_: Type) -> Type:
    return getattr(type_, "result", type_)


def _argument_types(node: Intrinsic) -> tuple[Type, ...]:
    assert isinstance(node.type.parameter, StructType)  # noqa: S101 - an operator of several arguments
    return tuple(node.type.parameter)


OPERATIONS: Mapping[str, Operation] = {
    "federated_broadcast": _broadcast,
    "federated_map": _map,
    "federated_map_with_state": _map_with_state,
    "federated_zip": _unchanged,
    "federated_value_at_clients": _value_at_clients,
    "federated_value_at_server": _unchanged,
    "federated_eval_at_clients": _eval_at_clients,
    "federated_eval_at_server": _eval_at_server,
    "federated_sum": _aggregated(Kind.SUM),
    "federated_mean": _mean,
    "federated_weighted_mean": _weighted_mean,
    "federated_robust_mean": _robust_mean,
    "federated_noised_sum": _noised_sum,
    "federated_correlated_noised_sum": _correlated_noised_sum,
    "federated_min": _aggregated(Kind.MIN),
    "federated_max": _aggregated(Kind.MAX),
    "federated_aggregate": _aggregate,
    "federated_select": _select,
    "federated_secure_sum": _secure(Kind.SECURE_SUM, lambda bound: bound),
    "federated_secure_sum_bitwidth": _secure(Kind.SECURE_SUM, lambda bits: 2**bits - 1),
    "federated_secure_modular_sum": _secure(Kind.MODULAR_SUM, lambda modulus: modulus),
    "sequence_map": _sequence_map,
    "sequence_reduce": _sequence_reduce,
    "sequence_sum": _sequence_sum,
}
