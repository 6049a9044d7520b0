"""The operators of the language, in one table: for each its typing rule and its meaning.

A rule gives the type of the result from the types of the arguments, or refuses them. A meaning gives the runtime value
of the result from those of the arguments (`federated.language.cohort` says what these are); it is the slow and obvious
one, which every other way of running a program is held against.

    federated_broadcast            T@SERVER -> T@CLIENTS
    federated_map                  <(T -> U), {T}@P> -> {U}@P
    federated_map_with_state       <(<S,T> -> <S,U>), {S}@CLIENTS, {T}@CLIENTS> -> {U}@CLIENTS
    federated_zip                  <{T}@P, {U}@P, …> -> {<T,U,…>}@P
    federated_value_at_clients     T -> T@CLIENTS                    also `…_at_server`
    federated_eval_at_clients      ( -> T) -> {T}@CLIENTS            also `…_at_server`
    federated_sum, _min, _max      {T}@CLIENTS -> T@SERVER
    federated_mean                 {T}@CLIENTS -> T@SERVER
    federated_weighted_mean        <{T}@CLIENTS, {w}@CLIENTS> -> T@SERVER
    federated_robust_mean          <{T}@CLIENTS, {w}@CLIENTS> -> T@SERVER
    federated_noised_sum           <{T}@CLIENTS, float32@SERVER> -> T@SERVER
    federated_correlated_noised_sum
                                   <{T}@CLIENTS, float32@SERVER, N@SERVER> -> <sum=T,noise=N>@SERVER
    federated_aggregate            <{T}@CLIENTS, Z, (<A,T> -> A), (<A,A> -> A), (A -> R)> -> R@SERVER
    federated_select               <{int32[n]}@CLIENTS, int32@SERVER, T@SERVER, (<T,int32> -> U)> -> {U*}@CLIENTS
    federated_secure_sum           <{T}@CLIENTS, M> -> T@SERVER      also `…_sum_bitwidth`, `…_modular_sum`
    sequence_map                   <(T -> U), T*> -> U*
    sequence_reduce                <T*, U, (<U,T> -> U)> -> U
    sequence_sum                   T* -> T
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from federated.language import meanings, robust_means, typing_rules
from federated.language.meanings import Run
from federated.language.types import Type

Rule = Callable[..., Type]
Meaning = Callable[..., Any]


@dataclass(frozen=True)
class Operator:
    """A row of the table.

    Attributes:
        parameters: the names of its arguments, for messages.
        rule: called with the types of the arguments; gives the result's type or raises.
        meaning: called with a `Run` and the arguments' runtime values.
    """

    name: str
    parameters: tuple[str, ...]
    rule: Rule
    meaning: Callable[..., Any]

    def result_type(self, arguments: Sequence[Type]) -> Type:
        """The type of the result.

        Raises:
            FederatedError: of a kind that says what is wrong with the arguments.
        """
        return self.rule(*arguments)

    def run(self, run: Run, arguments: Sequence[Any]) -> Any:
        """The runtime value of the result."""
        return self.meaning(run, *arguments)


def _row(name: str, parameters: str, rule: Rule, meaning: Meaning) -> tuple[str, Operator]:
    return name, Operator(name, tuple(parameters.split()), rule, meaning)


INTRINSICS: Mapping[str, Operator] = dict(
    [
        _row("federated_broadcast", "value", typing_rules.broadcast, meanings.broadcast),
        _row("federated_map", "fn arg", typing_rules.map_, meanings.map_),
        _row("federated_map_with_state", "fn initial arg", typing_rules.map_with_state, meanings.map_with_state),
        _row("federated_zip", "value", typing_rules.zip_, meanings.zip_),
        _row("federated_value_at_clients", "value", typing_rules.value_at_clients, meanings.value_at_clients),
        _row("federated_value_at_server", "value", typing_rules.value_at_server, meanings.value_at_server),
        _row("federated_eval_at_clients", "fn", typing_rules.eval_at_clients, meanings.eval_at_clients),
        _row("federated_eval_at_server", "fn", typing_rules.eval_at_server, meanings.eval_at_server),
        _row("federated_sum", "value", typing_rules.sum_, meanings.sum_),
        _row("federated_mean", "value", typing_rules.mean, meanings.mean),
        _row("federated_weighted_mean", "value weight", typing_rules.weighted_mean, meanings.weighted_mean),
        _row("federated_robust_mean", "value weight", typing_rules.robust_mean, meanings.robust_mean),
        _row("federated_noised_sum", "value stddev", typing_rules.noised_sum, meanings.noised_sum),
        _row(
            "federated_correlated_noised_sum",
            "value stddev earlier",
            typing_rules.correlated_noised_sum,
            meanings.correlated_noised_sum,
        ),
        _row("federated_min", "value", typing_rules.min_, meanings.min_),
        _row("federated_max", "value", typing_rules.max_, meanings.max_),
        _row("federated_aggregate", "value zero accumulate merge report", typing_rules.aggregate, meanings.aggregate),
        _row("federated_select", "client_keys max_key server_val select_fn", typing_rules.select, meanings.select),
        _row("federated_secure_sum", "value max_input", typing_rules.secure_sum, meanings.secure_sum),
        _row(
            "federated_secure_sum_bitwidth",
            "value bitwidth",
            typing_rules.secure_sum_bitwidth,
            meanings.secure_sum_bitwidth,
        ),
        _row(
            "federated_secure_modular_sum",
            "value modulus",
            typing_rules.secure_modular_sum,
            meanings.secure_modular_sum,
        ),
        _row("sequence_map", "fn value", typing_rules.sequence_map, meanings.sequence_map),
        _row("sequence_reduce", "value zero op", typing_rules.sequence_reduce, meanings.sequence_reduce),
        _row("sequence_sum", "value", typing_rules.sequence_sum, meanings.sequence_sum),
    ]
)

OPTIONS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("federated_mean", "on_zero_weight"): ("error", "nan"),
    ("federated_weighted_mean", "on_zero_weight"): ("error", "nan"),
    ("federated_robust_mean", "kind"): tuple(robust_means.FORMULAS),
}
"""What an operator may be told beside its arguments, and the values that this may have; the first is meant by none."""

NUMBERS: Mapping[tuple[str, str], tuple[float, float]] = {
    ("federated_robust_mean", name): limits for name, limits in robust_means.RANGES.items()
}
"""What an operator may be told that is a number, and its smallest and its largest value."""


def is_option(operator: str, option: str, value: str) -> bool:
    """Whether an operator may be told this beside its arguments."""
    limits = NUMBERS.get((operator, option))
    if limits is None:
        return value in OPTIONS.get((operator, option), ())
    try:
        return limits[0] <= float(value) <= limits[1]
    except ValueError:
        return False
