"""Every operator: the type that it gives, what it means, and what it refuses."""

# ruff: noqa: PLW0108 - a lambda is what is tested: it is traced, as what it calls would not be

import collections
from typing import Any

import numpy as np
import pytest

import federated as fed
from federated.language.errors import (
    ExecutionError,
    FederatedError,
    MisuseError,
    OutsideComputationError,
    PlacementError,
    TypeMismatchError,
)
from tests.federated.numpy_computations import numpy_computation

FLOATS = fed.FederatedType(np.float32, fed.CLIENTS)
INTS = fed.FederatedType(np.int32, fed.CLIENTS)
SHARED = fed.FederatedType(np.float32, fed.CLIENTS, all_equal=True)
FLOAT = fed.FederatedType(np.float32, fed.SERVER)
INT = fed.FederatedType(np.int32, fed.SERVER)
SEQUENCES = fed.FederatedType(fed.SequenceType(np.int32), fed.CLIENTS)
PAIR = fed.StructType([("a", np.int32), ("b", np.float32)])


@numpy_computation(np.float32, np.float32)
def half(x: Any) -> Any:
    return x / np.float32(2)


@numpy_computation([("x", np.int32), ("y", np.int32)], np.int32)
def add(x: Any, y: Any) -> Any:
    return np.int32(x + y)


@numpy_computation(np.int32, np.float32)
def as_float(x: Any) -> Any:
    return np.float32(x)


@numpy_computation(None, np.int32)
def ten() -> Any:
    return np.int32(10)


def computed(function: Any, *types: Any) -> Any:
    return fed.federated_computation(function, *types)


def test_a_broadcast_value_is_at_every_client_and_the_same() -> None:
    both = computed(lambda x: (fed.federated_broadcast(x), fed.federated_map(half, fed.federated_broadcast(x))), FLOAT)
    assert str(both.type_signature) == "(float32@SERVER -> <float32@CLIENTS,{float32}@CLIENTS>)"
    with fed.local_context(clients=2):
        assert both(3.0) == (3.0, [1.5, 1.5])


def test_a_broadcast_value_comes_back_even_where_no_client_takes_part() -> None:
    assert computed(fed.federated_broadcast, FLOAT)(3.0) == 3.0


@pytest.mark.parametrize("operator", [fed.federated_broadcast, fed.federated_sum, fed.federated_mean])
def test_a_value_that_is_placed_nowhere_is_refused(operator: Any) -> None:
    with pytest.raises(PlacementError, match="placed nowhere") as refusal:
        computed(operator, np.float32)
    assert "federated_value" in str(refusal.value)


def test_a_value_at_the_wrong_placement_is_refused_with_the_way_across() -> None:
    with pytest.raises(PlacementError, match=r"takes a value at SERVER.*(?s:.*)federated_mean"):
        computed(fed.federated_broadcast, FLOATS)
    with pytest.raises(PlacementError, match=r"takes a value at CLIENTS.*(?s:.*)federated_broadcast"):
        computed(fed.federated_sum, FLOAT)


def test_a_function_is_mapped_over_every_member_at_either_placement() -> None:
    halves = computed(lambda x, y: (fed.federated_map(half, x), fed.federated_map(half, y)), FLOATS, FLOAT)
    assert str(halves.type_signature.result) == "<{float32}@CLIENTS,float32@SERVER>"
    assert halves([1.0, 2.0], 3.0) == ([0.5, 1.0], 1.5)


def test_a_mapped_lambda_is_traced_at_the_members_type() -> None:
    quarter = computed(lambda x: fed.federated_map(lambda y: half(half(y)), x), FLOATS)
    assert quarter([4.0, 8.0]) == [1.0, 2.0]


def test_several_federated_values_are_mapped_side_by_side() -> None:
    for pack in (lambda x, y: (x, y), lambda x, y: [x, y], lambda x, y: {"x": x, "y": y}):
        total = computed(lambda x, y, pack=pack: fed.federated_map(add, pack(x, y)), INTS, INTS)
        assert total([1, 2], [10, 20]) == [11, 22]


def test_a_function_of_something_else_is_refused_with_both_types() -> None:
    with pytest.raises(TypeMismatchError) as refusal:
        computed(lambda x: fed.federated_map(as_float, x), FLOATS)
    assert "expected: int32\n  found:    float32" in str(refusal.value)


def test_a_federated_operator_inside_a_mapped_function_is_refused() -> None:
    with pytest.raises(FederatedError):
        computed(lambda x: fed.federated_map(fed.federated_sum, x), FLOATS)
    inner = computed(fed.federated_broadcast, FLOAT)
    with pytest.raises(MisuseError, match="nothing federated"):
        computed(lambda x: fed.federated_map(inner, x), FLOATS)


def test_federated_values_are_zipped_with_their_names_and_containers() -> None:
    zipped = computed(
        lambda x, y: fed.federated_zip(collections.OrderedDict(a=x, b=(y, x))),
        INTS,
        fed.FederatedType(np.str_, fed.CLIENTS),
    )
    assert str(zipped.type_signature.result) == "{<a=int32,b=<str,int32>>}@CLIENTS"
    result = zipped([1, 2], ["p", "q"])
    assert result == [collections.OrderedDict(a=1, b=("p", 1)), collections.OrderedDict(a=2, b=("q", 2))]
    assert type(result[0]) is collections.OrderedDict


def test_a_zip_is_all_equal_where_all_its_values_are() -> None:
    zipped = computed(lambda x, y: (fed.federated_zip([x, x]), fed.federated_zip([x, y])), SHARED, FLOATS)
    assert str(zipped.type_signature.result) == "<<float32,float32>@CLIENTS,{<float32,float32>}@CLIENTS>"
    assert zipped(1.0, [2.0, 3.0]) == ([1.0, 1.0], [[1.0, 2.0], [1.0, 3.0]])


def test_values_at_different_placements_are_not_zipped() -> None:
    with pytest.raises(PlacementError, match="different placements"):
        computed(lambda x, y: fed.federated_zip([x, y]), INTS, INT)
    with pytest.raises(MisuseError, match="structure of federated values"):
        computed(lambda x: fed.federated_zip([x, x]), np.int32)


def test_a_constant_is_placed_and_is_the_same_everywhere() -> None:
    placed = computed(lambda: (fed.federated_value(1, fed.CLIENTS), fed.federated_value((1, "a"), fed.SERVER)))
    assert str(placed.type_signature) == "( -> <int32@CLIENTS,<int32,str>@SERVER>)"
    assert placed() == (1, (1, "a"))


def test_a_placed_value_is_not_placed_again() -> None:
    with pytest.raises(PlacementError, match="placed nowhere yet"):
        computed(lambda x: fed.federated_value(x, fed.SERVER), INTS)
    with pytest.raises(MisuseError, match=r"fed.CLIENTS or fed.SERVER"):
        computed(lambda: fed.federated_value(1, "server"))  # type: ignore[arg-type]


def test_a_function_of_nothing_is_evaluated_at_every_member() -> None:
    tens = computed(lambda: (fed.federated_eval(ten, fed.CLIENTS), fed.federated_eval(lambda: ten(), fed.SERVER)))
    assert str(tens.type_signature) == "( -> <{int32}@CLIENTS,int32@SERVER>)"
    with fed.local_context(clients=3):
        assert tens() == ([10, 10, 10], 10)
    with pytest.raises(MisuseError, match="must take nothing"):
        computed(lambda: fed.federated_eval(half, fed.SERVER))


def test_sums_go_through_structures_member_by_member() -> None:
    total = computed(fed.federated_sum, fed.FederatedType(PAIR, fed.CLIENTS))
    assert str(total.type_signature) == "({<a=int32,b=float32>}@CLIENTS -> <a=int32,b=float32>@SERVER)"
    assert total([{"a": 1, "b": 0.5}, {"a": 2, "b": 0.25}]) == fed.Struct.named(a=3, b=0.75)


@pytest.mark.parametrize("member", [np.bool_, np.str_, np.complex64])
def test_only_numbers_are_summed(member: Any) -> None:
    with pytest.raises(MisuseError, match=r"(?s)federated_sum takes numbers.*tf_computation"):
        computed(fed.federated_sum, fed.FederatedType(member, fed.CLIENTS))


def test_tensors_of_unknown_shape_are_not_summed() -> None:
    with pytest.raises(MisuseError, match="known shape"):
        computed(fed.federated_sum, fed.FederatedType((np.int32, [None]), fed.CLIENTS))


def test_a_mean_is_of_floats_and_its_weight_is_a_number() -> None:
    with pytest.raises(MisuseError, match=r"(?s)federated_mean takes floats, found int32.*cast"):
        computed(fed.federated_mean, INTS)
    with pytest.raises(MisuseError, match="one number for each client"):
        computed(lambda x: fed.federated_mean(x, x), fed.FederatedType((np.float32, [2]), fed.CLIENTS))
    with pytest.raises(PlacementError, match="federated_mean's weight takes a value at CLIENTS"):
        computed(fed.federated_mean, FLOATS, FLOAT)


def test_a_mean_may_be_weighted_by_integers_or_floats() -> None:
    for weight in (INTS, FLOATS):
        mean = computed(fed.federated_mean, FLOATS, weight)
        assert str(mean.type_signature.result) == "float32@SERVER"
        assert mean([1.0, 4.0], [1, 2]) == 3.0


def test_a_custom_aggregation_accumulates_from_zero_and_reports() -> None:
    total = computed(lambda x: fed.federated_aggregate(x, 100, add, add, as_float), INTS)
    assert str(total.type_signature) == "({int32}@CLIENTS -> float32@SERVER)"
    assert total([1, 2, 3]) == 106.0
    assert total([]) == 100.0


def test_an_accumulator_may_be_a_structure() -> None:
    @numpy_computation([[("sum", np.int32), ("count", np.int32)], np.int32], [("sum", np.int32), ("count", np.int32)])
    def accumulate(total: Any, value: Any) -> Any:
        return np.int32(total[0] + value), np.int32(total[1] + 1)

    merge = computed(
        lambda one, other: {"sum": add(one[0], other[0]), "count": add(one[1], other[1])},
        *[accumulate.type_signature.result] * 2,
    )
    both = computed(
        lambda x: fed.federated_aggregate(x, {"sum": 0, "count": 0}, accumulate, merge, lambda total: total), INTS
    )
    assert both([5, 6]) == fed.Struct.named(sum=11, count=2)


def test_a_wrong_accumulate_is_named_and_not_its_zero() -> None:
    with pytest.raises(TypeMismatchError, match="accumulate must take what it gives, and a client's value"):
        computed(lambda x: fed.federated_aggregate(x, 0, lambda total, _: as_float(total), add, as_float), INTS)
    with pytest.raises(TypeMismatchError, match="zero is not what accumulate starts from"):
        computed(lambda x: fed.federated_aggregate(x, 0.0, add, add, as_float), INTS)
    with pytest.raises(TypeMismatchError, match="merge must take two"):
        computed(lambda x: fed.federated_aggregate(x, 0, add, lambda one, _: as_float(one), as_float), INTS)
    with pytest.raises(TypeMismatchError, match="report must take what merge gives"):
        computed(lambda x: fed.federated_aggregate(x, 0, add, add, half), INTS)


def test_each_client_selects_the_slices_that_its_keys_name() -> None:
    @numpy_computation([((np.str_, [3])), np.int32], np.str_)
    def letter(letters: Any, key: Any) -> Any:
        return letters[key]

    keys = fed.FederatedType((np.int32, [2]), fed.CLIENTS)
    letters = fed.FederatedType((np.str_, [3]), fed.SERVER)
    chosen = computed(lambda k, m, v: fed.federated_select(k, m, v, letter), keys, INT, letters)
    assert str(chosen.type_signature.result) == "{str*}@CLIENTS"
    assert chosen([[0, 2], [1, 1]], 3, ["a", "b", "c"]) == [["a", "c"], ["b", "b"]]
    with pytest.raises(ExecutionError, match="client 1 asks for the key 3 of federated_select, whose max_key is 3"):
        chosen([[0, 2], [1, 3]], 3, ["a", "b", "c"])


@pytest.mark.parametrize("keys", [np.int32, (np.int32, [None]), (np.int64, [2])])
def test_keys_are_a_known_number_of_int32(keys: Any) -> None:
    with pytest.raises(MisuseError, match="client_keys must be"):
        computed(
            lambda k, m, v: fed.federated_select(k, m, v, lambda value, _: value),
            fed.FederatedType(keys, fed.CLIENTS), INT, INT,
        )  # fmt: skip


def test_a_sequence_is_mapped_reduced_and_summed_in_order() -> None:
    mapped = computed(lambda xs: fed.sequence_map(as_float, xs), fed.SequenceType(np.int32))
    assert str(mapped.type_signature) == "(int32* -> float32*)"
    assert mapped([1, 2]) == [1.0, 2.0]
    reduced = computed(lambda xs: fed.sequence_reduce(xs, 10, add), fed.SequenceType(np.int32))
    assert (reduced([1, 2]), reduced([])) == (13, 10)
    summed = computed(fed.sequence_sum, fed.SequenceType(PAIR))
    assert summed([{"a": 1, "b": 1.5}, {"a": 2, "b": 2.5}]) == fed.Struct.named(a=3, b=4.0)
    assert summed([]) == fed.Struct.named(a=0, b=0.0)


def test_a_sum_of_a_sequence_may_be_infinite_or_nan() -> None:
    summed = computed(fed.sequence_sum, fed.SequenceType((np.float32, [2])))
    np.testing.assert_array_equal(summed([[1.0, np.inf], [2.0, 3.0]]), [3.0, np.inf])
    np.testing.assert_array_equal(summed([[1.0, np.inf], [2.0, -np.inf], [np.nan, 1.0]]), [np.nan, np.nan])


def test_a_sequence_at_the_server_is_reduced_there() -> None:
    both = computed(
        lambda xs: (fed.sequence_sum(xs), fed.sequence_reduce(xs, 1, add)),
        fed.FederatedType(fed.SequenceType(np.int32), fed.SERVER),
    )
    assert str(both.type_signature.result) == "<int32@SERVER,int32@SERVER>"
    assert both([1, 2]) == (3, 4)


def test_every_member_maps_reduces_and_sums_its_own_sequence() -> None:
    every = computed(
        lambda xs: (
            fed.sequence_map(as_float, xs),
            fed.sequence_reduce(xs, 1, add),
            fed.sequence_reduce(xs, fed.federated_value(2, fed.CLIENTS), add),
            fed.sequence_sum(xs),
        ),
        SEQUENCES,
    )
    assert str(every.type_signature.result) == "<{float32*}@CLIENTS,{int32}@CLIENTS,{int32}@CLIENTS,{int32}@CLIENTS>"
    assert every([[1, 2], []]) == ([[1.0, 2.0], []], [4, 1], [5, 2], [3, 0])


def test_sequence_operators_refuse_what_is_no_sequence_or_no_function_of_its_elements() -> None:
    with pytest.raises(MisuseError, match="sequence_sum takes a sequence, found int32"):
        computed(fed.sequence_sum, np.int32)
    with pytest.raises(TypeMismatchError, match="sequence_map's fn takes something else"):
        computed(lambda xs: fed.sequence_map(half, xs), fed.SequenceType(np.int32))
    with pytest.raises(TypeMismatchError, match="sequence_reduce's zero is not what op starts from"):
        computed(lambda xs: fed.sequence_reduce(xs, 0.0, add), fed.SequenceType(np.int32))
    with pytest.raises(TypeMismatchError, match="sequence_reduce's op must take what it gives"):
        computed(lambda xs: fed.sequence_reduce(xs, 0, lambda total, _: as_float(total)), fed.SequenceType(np.int32))


@pytest.mark.parametrize(
    "operator",
    [
        lambda: fed.federated_broadcast(1),
        lambda: fed.federated_map(half, 1),
        lambda: fed.federated_zip([1]),
        lambda: fed.federated_value(1, fed.SERVER),
        lambda: fed.federated_eval(ten, fed.SERVER),
        lambda: fed.federated_sum(1),
        lambda: fed.federated_mean(1),
        lambda: fed.federated_min(1),
        lambda: fed.federated_max(1),
        lambda: fed.federated_aggregate(1, 0, add, add, as_float),
        lambda: fed.federated_select(1, 1, 1, add),
        lambda: fed.federated_secure_sum(1, 1),
        lambda: fed.federated_secure_sum_bitwidth(1, 1),
        lambda: fed.federated_secure_modular_sum(1, 1),
        lambda: fed.sequence_map(half, [1]),
        lambda: fed.sequence_reduce([1], 0, add),
        lambda: fed.sequence_sum([1]),
        lambda: fed.to_value(1),
    ],
)
def test_no_operator_works_outside_a_computation(operator: Any) -> None:
    with pytest.raises(OutsideComputationError, match="was called in plain Python") as refusal:
        operator()
    assert "@fed.federated_computation" in str(refusal.value)
    assert "test_operators.py" in str(refusal.value)
