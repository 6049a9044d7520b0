"""Graphs are written as people read them."""

# ruff: noqa: PLW0108 - a lambda is what is tested: it is traced, as what it calls would not be

from typing import Any

import numpy as np

import federated as fed
from tests.federated.numpy_computations import numpy_computation

FLOATS = fed.FederatedType(np.float32, fed.CLIENTS)


@numpy_computation([("x", np.float32), ("y", np.float32)], np.float32)
def larger(x: Any, y: Any) -> Any:
    return np.maximum(x, y)


@fed.federated_computation(FLOATS)
def average(readings: Any) -> Any:
    return fed.federated_mean(readings)


@fed.federated_computation(FLOATS, fed.FederatedType(np.float32, fed.SERVER))
def clipped(readings: Any, floor: Any) -> Any:
    pairs = (readings, fed.federated_broadcast(floor))
    return {"of each": fed.federated_map(lambda pair: larger(pair), pairs), "mean": average(readings)}


def test_a_computation_is_one_line_of_the_lambda_calculus() -> None:
    assert average.compact_representation() == "(readings -> (let v_1=federated_mean(readings) in v_1))"


def test_names_are_the_programs_own_and_structures_are_written_as_types_are() -> None:
    assert clipped.compact_representation() == (
        "(arg -> (let v_1=federated_broadcast(arg.floor),v_2=federated_zip(<arg.readings,v_1>),"
        "v_4=federated_map(<(pair -> (let v_3=larger(pair) in v_3)),v_2>),"
        "v_5=(readings -> (let v_1=federated_mean(readings) in v_1))(arg.readings) "
        'in <"of each"=v_4,mean=v_5>))'
    )


def test_every_value_has_a_line_of_its_own_for_people() -> None:
    assert clipped.formatted_representation() == (
        "(arg -> (let\n"
        "  v_1=federated_broadcast(arg.floor),\n"
        "  v_2=federated_zip(<arg.readings,v_1>),\n"
        "  v_4=federated_map(<(pair -> (let\n"
        "    v_3=larger(pair)\n"
        "  in v_3)),v_2>),\n"
        "  v_5=(readings -> (let\n"
        "    v_1=federated_mean(readings)\n"
        "  in v_1))(arg.readings)\n"
        'in <"of each"=v_4,mean=v_5>))'
    )


def test_constants_are_their_values_and_large_ones_their_types() -> None:
    constants = fed.federated_computation(lambda: (1, 2.5, True, 'a"', [np.arange(3)], np.zeros([3, 3])))
    assert constants.compact_representation() == ('( -> <1,2.5,true,"a\\"",<[0,1,2]>,a constant of type float64[3,3]>)')


def test_options_stand_with_their_operator() -> None:
    lenient = fed.federated_computation(lambda x: fed.federated_mean(x, on_zero_weight="nan"), FLOATS)
    assert lenient.compact_representation() == "(x -> (let v_1=federated_mean[on_zero_weight=nan](x) in v_1))"


def test_a_name_is_used_once_in_a_trace() -> None:
    nested = fed.federated_computation(lambda x: fed.federated_map(lambda x: larger(x, x), x), FLOATS)
    assert nested.compact_representation() == (
        "(x -> (let v_3=federated_map(<(x_1 -> (let v_2=larger(<x_1,x_1>) in v_2)),x>) in v_3))"
    )
    taken = fed.federated_computation(lambda v_1: fed.federated_mean(v_1), FLOATS)
    assert taken.compact_representation() == "(v_1 -> (let v_2=federated_mean(v_1) in v_2))"
