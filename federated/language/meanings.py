"""What the language's operators mean, on runtime values; `federated.language.intrinsics` is their table.

Plain and obvious on purpose: one client after the other, one element after the other.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from federated.language.cohort import Clients, repeated, rows, stacked
from federated.language.errors import ExecutionError
from federated.language.kept import LocalStates, kept_name
from federated.language.noising import noised_sum as noised
from federated.language.origin import Origin
from federated.language.placements import CLIENTS
from federated.language.robust_means import FORMULAS
from federated.language.summing import exact_sum, extreme
from federated.language.summing import weighted_mean as mean_of
from federated.language.types import FederatedType, SequenceType, StructType, TensorType, Type
from wire.tensors import Array

_MAX_BITWIDTH = 62


_MANY = 64
"""From so many clients on, those that can go through one call of a local computation do."""


@dataclass(frozen=True)
class Run:
    """One use of an operator.

    Attributes:
        arguments: the types of the arguments.
        result: the type of the result.
        cohort: how many clients take part.
        options: what the program chose beside the arguments.
        origin: the user's line.
        states: what the clients keep.
    """

    arguments: tuple[Type, ...]
    result: Type
    cohort: int
    options: dict[str, str]
    origin: Origin | None
    states: LocalStates

    def member(self, index: int = 0) -> Type:
        """The member of the federated argument at `index`."""
        type_ = self.arguments[index]
        return type_.member if isinstance(type_, FederatedType) else type_


def broadcast(run: Run, value: Any) -> Clients:
    """The server's value at every client."""
    return repeated(run.member(), value, run.cohort)


def map_(run: Run, fn: Callable[[Any], Any], arg: Any) -> Any:
    """`fn` of every member."""
    federated, result = run.arguments[1], run.result
    assert isinstance(federated, FederatedType)  # noqa: S101 - the typing rule has looked
    assert isinstance(result, FederatedType)  # noqa: S101 - the typing rule made it
    if federated.placement != CLIENTS:
        return fn(arg)
    if result.all_equal:
        return repeated(result.member, fn(arg.shared), run.cohort)
    together = fn.each(arg) if arg.count >= _MANY and hasattr(fn, "each") else None
    return together or stacked(result.member, [fn(row) for row in rows(federated.member, arg)])


def map_with_state(run: Run, fn: Callable[[Any], Any], initial: Clients, arg: Clients) -> Clients:
    """`fn` of what each client kept the last time, or its `initial`, and of its value."""
    assert isinstance(run.result, FederatedType)  # noqa: S101 - the typing rule made it
    operator, type_ = run.states.next_operator(), run.member(1)
    specs = {kept_name(operator, leaf): tensor for leaf, tensor in enumerate(_flat(type_, type_))}
    results = []
    for client, (first, value) in enumerate(zip(rows(type_, initial), rows(run.member(2), arg), strict=True)):
        before = run.states.before(client)
        kept = _unflat(type_, iter([before[name] for name in specs])) if _is_kept(before, specs) else first
        state, result = fn((kept, value))
        run.states.leave(client, dict(zip(specs, _left(run, type_, state, client), strict=True)))
        results.append(result)
    return stacked(run.result.member, results)


def zip_(run: Run, value: Any) -> Any:
    """The federated values side by side."""
    assert isinstance(run.result, FederatedType)  # noqa: S101 - the typing rule made it
    if run.result.placement != CLIENTS:
        return value
    shared = _joined(value, lambda clients: clients.shared) if run.result.all_equal else None
    return Clients(run.cohort, _joined(value, lambda clients: clients.column), shared)


def value_at_clients(run: Run, value: Any) -> Clients:
    """The value at every client."""
    return repeated(run.arguments[0], value, run.cohort)


def value_at_server(run: Run, value: Any) -> Any:
    """The value."""
    return value


def eval_at_clients(run: Run, fn: Callable[[], Any]) -> Clients:
    """What `fn` gives at each client."""
    assert isinstance(run.result, FederatedType)  # noqa: S101 - the typing rule made it
    return stacked(run.result.member, [fn() for _ in range(run.cohort)])


def eval_at_server(run: Run, fn: Callable[[], Any]) -> Any:
    """What `fn` gives."""
    return fn()


def sum_(run: Run, value: Clients) -> Any:
    """Σ v; zero of no clients."""
    return _of_tensors(run.member(), _finite(run, value).column, exact_sum)


def mean(run: Run, value: Clients) -> Any:
    """Σ v / n."""
    return _mean(run, value, np.ones(value.count, np.float32))


def weighted_mean(run: Run, value: Clients, weight: Clients) -> Any:
    """Σ w v / Σ w."""
    return _mean(run, value, _weights(run, weight))


def robust_mean(run: Run, value: Clients, weight: Clients) -> Any:
    """A mean that lying clients do not move far; `federated.language.robust_means` has the formulas."""
    weights = _weights(run, weight)
    counted = _counted(run, value, weights)
    taking_part = weights > 0
    columns = [column[taking_part] for column in _flat(run.member(), counted.column)]
    rows_ = np.concatenate([column.reshape(len(column), -1).astype(np.float64) for column in columns], 1)
    options = dict(run.options)
    formula = FORMULAS[options.pop("kind")]
    try:
        mean_ = formula(rows_, weights[taking_part], {name: float(number) for name, number in options.items()})
    except ExecutionError as error:
        error.where = run.origin
        raise
    sizes = np.cumsum([column[0].size for column in columns])
    parts = iter(np.split(mean_, sizes[:-1]))
    return _of_tensors(run.member(), counted.column, lambda c: next(parts).reshape(c.shape[1:]).astype(c.dtype))


def noised_sum(run: Run, value: Clients, stddev: Any) -> Any:
    """Σ v and noise; `federated.language.noising` says of which numbers."""
    try:
        return _of_tensors(run.member(), _finite(run, value).column, lambda column: noised(column, float(stddev))[0])
    except ExecutionError as error:
        error.where = run.origin
        raise


def correlated_noised_sum(run: Run, value: Clients, stddev: Any, earlier: Any) -> Any:
    """Σ v and noise without the earlier one; and the noise."""
    remaining, drawn = iter(list(_flat(run.member(2), earlier))), []

    def noised_without(column: Array) -> Array:
        total, noise = noised(column, float(stddev), next(remaining))
        drawn.append(noise)
        return total

    try:
        totals = _of_tensors(run.member(), _finite(run, value).column, noised_without)
    except ExecutionError as error:
        error.where = run.origin
        raise
    noises = iter(drawn)
    return totals, _of_tensors(run.member(2), earlier, lambda _: next(noises))


def min_(run: Run, value: Clients) -> Any:
    """The smallest; of no clients, the dtype's largest."""
    return _of_tensors(run.member(), _finite(run, value).column, lambda column: extreme(column, largest=False))


def max_(run: Run, value: Clients) -> Any:
    """The largest; of no clients, the dtype's smallest."""
    return _of_tensors(run.member(), _finite(run, value).column, lambda column: extreme(column, largest=True))


def aggregate(
    run: Run,
    value: Clients,
    zero: Any,
    accumulate: Callable[[Any], Any],
    merge: Callable[[Any], Any],
    report: Callable[[Any], Any],
) -> Any:
    """The report on all values accumulated, one after the other. One group needs no merging."""
    return report(reduce(lambda total, row: accumulate((total, row)), rows(run.member(), value), zero))


def select(run: Run, client_keys: Clients, max_key: Any, server_val: Any, select_fn: Callable[[Any], Any]) -> Clients:
    """For each client the slices of the server's value that its keys name."""
    for client, keys in enumerate(client_keys.column):
        if outside := [int(key) for key in keys if not 0 <= key < max_key]:
            raise ExecutionError(
                f"client {client} asks for the key {outside[0]} of federated_select, whose max_key is {max_key}",
                where=run.origin,
                fix="keys are within 0 and max_key - 1",
            )
    return Clients(client_keys.count, [[select_fn((server_val, key)) for key in keys] for keys in client_keys.column])


def secure_sum(run: Run, value: Clients, max_input: Any) -> Any:
    """Σ v, of values within 0 and max_input."""
    bounds = [int(bound) for bound in _bounds(run, max_input)]
    if refused := [bound for bound in bounds if bound < 0]:
        raise ExecutionError(f"{refused[0]} is no max_input", where=run.origin, fix="a max_input is 0 or more")
    return _bounded_sum(run, value, bounds)


def secure_sum_bitwidth(run: Run, value: Clients, bitwidth: Any) -> Any:
    """Σ v, of values within 0 and 2^bitwidth - 1."""
    bits = [int(width) for width in _bounds(run, bitwidth)]
    if refused := [width for width in bits if not 1 <= width <= _MAX_BITWIDTH]:
        raise ExecutionError(
            f"{refused[0]} is no bitwidth", where=run.origin, fix=f"a bitwidth is within 1 and {_MAX_BITWIDTH}"
        )
    return _bounded_sum(run, value, [2**width - 1 for width in bits])


def secure_modular_sum(run: Run, value: Clients, modulus: Any) -> Any:
    """Σ v modulo the modulus, of values below it."""
    moduli = [int(bound) for bound in _bounds(run, modulus)]
    if refused := [bound for bound in moduli if bound < 1]:
        raise ExecutionError(f"{refused[0]} is no modulus", where=run.origin, fix="a modulus is 1 or more")
    remaining = iter(moduli)

    def modular(column: Array) -> Array:
        bound = next(remaining)
        _within(run, column, bound - 1)
        return np.asarray(column.astype(object).sum(0) % bound).astype(column.dtype)

    return _of_tensors(run.member(), value.column, modular)


def sequence_map(run: Run, fn: Callable[[Any], Any], value: list[Any]) -> list[Any]:
    """`fn` of every element."""
    return [fn(element) for element in value]


def sequence_reduce(run: Run, value: list[Any], zero: Any, op: Callable[[Any], Any]) -> Any:
    """All elements put together, from the first to the last."""
    return reduce(lambda total, element: op((total, element)), value, zero)


def sequence_sum(run: Run, value: list[Any]) -> Any:
    """Σ of the elements; zero of none. It never left its place, so that NaN and infinity are numbers like others."""
    type_ = run.arguments[0]
    assert isinstance(type_, SequenceType)  # noqa: S101 - the typing rule has looked
    return _of_tensors(type_.element, stacked(type_.element, value).column, _any_sum)


def _is_kept(before: Mapping[str, Array], specs: Mapping[str, TensorType]) -> bool:
    """Whether a client kept such a state the last time."""
    return all(
        name in before and (before[name].dtype, before[name].shape) == (spec.dtype, spec.shape)
        for name, spec in specs.items()
    )


def _left(run: Run, type_: Type, state: Any, client: int) -> Iterator[Array]:
    for leaf in _flat(type_, state):
        array = np.asarray(leaf)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ExecutionError(
                f"client {client} would keep {array[~np.isfinite(array)].flat[0]}; only finite values are kept",
                where=run.origin,
                fix="keep what there was before where the new state is not finite",
            )
        yield array


def _any_sum(column: Array) -> Array:
    if column.dtype.kind != "f":
        return exact_sum(column)
    finite = np.isfinite(column)
    with np.errstate(invalid="ignore", over="ignore"):
        plain = column.sum(0, dtype=column.dtype)
    return np.where(finite.all(0), exact_sum(np.where(finite, column, column.dtype.type(0))), plain)


def _weights(run: Run, weight: Clients) -> Array:
    weights: Array = weight.column
    _finite(run, weight, 1)
    if (weights < 0).any():
        raise ExecutionError(
            f"client {int(np.argmin(weights))} has the weight {weights.min()}",
            where=run.origin,
            fix="a weight is zero or more",
        )
    return weights


def _mean(run: Run, value: Clients, weights: Array) -> Any:
    counted = _counted(run, value, weights)
    return _of_tensors(run.member(), counted.column, lambda column: mean_of(column, weights))


def _counted(run: Run, value: Clients, weights: Array) -> Clients:
    """The values, zeros where they do not count."""
    counted = Clients(value.count, _of_tensors(run.member(), value.column, lambda c: _masked(c, weights)))
    _finite(run, counted)
    if not weights.sum() > 0 and run.options.get("on_zero_weight") != "nan":
        fix = "give a client that counts a weight above zero"
        if "kind" not in run.options:
            fix = 'federated_mean(…, on_zero_weight="nan") gives NaN instead'
        if not value.count:
            fix += "; where no argument has values of clients, fed.local_context(clients=…) says how many there are"
        message = "the weights of a mean are all zero" if value.count else "a mean of no clients has no value"
        raise ExecutionError(message, where=run.origin, fix=fix)
    return counted


def _masked(column: Array, weights: Array) -> Array:
    """The values of those clients that count."""
    counts = (weights != 0).reshape(-1, *[1] * (column.ndim - 1))
    return np.where(counts, column, column.dtype.type(0))


def _bounds(run: Run, bounds: Any) -> list[Any]:
    """A bound for each tensor of the value."""
    given = list(_flat(run.arguments[1], bounds))
    return given * len(list(_flat(run.member(), run.member()))) if len(given) == 1 else given


def _bounded_sum(run: Run, value: Clients, bounds: list[int]) -> Any:
    largest = iter(bounds)

    def bounded(column: Array) -> Array:
        _within(run, column, next(largest))
        return exact_sum(column)

    return _of_tensors(run.member(), value.column, bounded)


def _within(run: Run, column: Array, largest: int) -> None:
    outside = np.asarray((column < 0) | (column.astype(object) > largest), bool)
    if outside.any():
        client = int(np.argmax(outside.reshape(len(column), -1).any(1)))
        raise ExecutionError(
            f"client {client} contributes {column[client][outside[client]].flat[0]} to a secure sum of values within "
            f"0 and {largest}",
            where=run.origin,
            fix="clip it at the client, or raise the bound",
        )


def _finite(run: Run, value: Clients, index: int = 0) -> Clients:
    """Refuses what a device would refuse to send."""
    for column in _flat(run.member(index), value.column):
        if column.dtype.kind == "f" and not (finite := np.isfinite(column)).all():
            client = int(np.argmin(finite.reshape(len(column), -1).all(1)))
            raise ExecutionError(
                f"client {client} contributes {column[client][~finite[client]].flat[0]}; "
                "only finite values are aggregated",
                where=run.origin,
                fix="mask it at the client, for instance with a weight of zero",
            )
    return value


def _of_tensors(type_: Type, column: Any, function: Callable[[Array], Array]) -> Any:
    """The function of each tensor's column, in the structure of the type."""
    if isinstance(type_, StructType):
        return tuple(_of_tensors(element, inner, function) for element, inner in zip(type_, column, strict=True))
    assert isinstance(type_, TensorType)  # noqa: S101 - the typing rule has looked
    return function(column)


def _flat(type_: Type, value: Any) -> Iterator[Any]:
    if isinstance(type_, StructType):
        for element, inner in zip(type_, value, strict=True):
            yield from _flat(element, inner)
    else:
        yield value


def _unflat(type_: Type, leaves: Iterator[Any]) -> Any:
    if isinstance(type_, StructType):
        return tuple(_unflat(element, leaves) for element in type_)
    return next(leaves)


def _joined(value: Any, part: Callable[[Clients], Any]) -> Any:
    return tuple(_joined(element, part) for element in value) if isinstance(value, tuple) else part(value)
