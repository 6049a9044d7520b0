"""Programs that are refused while they are traced, and types, calls and documents that are."""

# ruff: noqa: PLW0108 - a lambda is what is tested: it is traced, as what it calls would not be

from collections.abc import Callable
from typing import Any

import numpy as np

import federated as fed
from federated.language import notation
from tests.federated.numpy_computations import numpy_computation
from tests.federated.wrong.catalogue import Catalogue, entry

LANGUAGE: Catalogue = {}

FLOATS = fed.FederatedType(np.float32, fed.CLIENTS)
INTS = fed.FederatedType(np.int32, fed.CLIENTS)
FLOAT = fed.FederatedType(np.float32, fed.SERVER)
_NAME: Any = "clients"
_NUMBER: Any = 3
SEQUENCE = fed.SequenceType(np.int32)


def wrong(title: str) -> Callable[[Callable[[], object]], Callable[[], object]]:
    return entry(LANGUAGE, title)


@numpy_computation(np.float32, np.float32)
def to_celsius(fahrenheit: Any) -> Any:
    return (fahrenheit - 32) / 1.8


@numpy_computation([("total", np.int32), ("value", np.int32)], np.int32)
def add(total: Any, value: Any) -> Any:
    return total + value


@numpy_computation([("total", np.int32), ("value", np.int32)], np.float32)
def add_to_float(total: Any, value: Any) -> Any:
    return np.float32(total + value)


@wrong("An object that is no type")
def _() -> None:
    fed.FederatedType("float32", fed.CLIENTS)


@wrong("A federated value inside a federated value")
def _() -> None:
    fed.FederatedType(FLOATS, fed.SERVER)


@wrong("A text that is no type")
def _() -> None:
    notation.parse("{float32}@CLIENT")


@wrong("An aggregation of a value at the server")
def _() -> None:
    @fed.federated_computation(FLOAT)
    def total(reading: Any) -> Any:
        return fed.federated_sum(reading)


@wrong("A broadcast of client values")
def _() -> None:
    @fed.federated_computation(FLOATS)
    def spread(readings: Any) -> Any:
        return fed.federated_broadcast(readings)


@wrong("A value that is placed nowhere")
def _() -> None:
    @fed.federated_computation(np.float32)
    def mapped(reading: Any) -> Any:
        return fed.federated_map(to_celsius, reading)


@wrong("A value that is placed twice")
def _() -> None:
    @fed.federated_computation(FLOAT)
    def placed(reading: Any) -> Any:
        return fed.federated_value(reading, fed.CLIENTS)


@wrong("A placement that there is not")
def _() -> None:
    @fed.federated_computation
    def placed() -> Any:
        return fed.federated_value(1.0, _NAME)


@wrong("Values at different placements side by side")
def _() -> None:
    @fed.federated_computation(FLOATS, FLOAT)
    def over(readings: Any, threshold: Any) -> Any:
        return fed.federated_map(to_celsius, (readings, threshold))


@wrong("A zip of values that are placed nowhere")
def _() -> None:
    @fed.federated_computation(np.float32)
    def zipped(reading: Any) -> Any:
        return fed.federated_zip([reading, reading])


@wrong("A mapped function of another type")
def _() -> None:
    @fed.federated_computation(INTS)
    def converted(readings: Any) -> Any:
        return fed.federated_map(to_celsius, readings)


@wrong("A mapped function of nothing")
def _() -> None:
    @fed.federated_computation(INTS)
    def converted(readings: Any) -> Any:
        return fed.federated_map(fed.federated_computation(lambda: 1), readings)


@wrong("Something mapped that is no function")
def _() -> None:
    @fed.federated_computation(INTS)
    def converted(readings: Any) -> Any:
        return fed.federated_map(0.5, readings)


@wrong("A federated operator in a mapped function")
def _() -> None:
    average = fed.federated_computation(fed.federated_mean, FLOATS)

    @fed.federated_computation(FLOATS)
    def nested(readings: Any) -> Any:
        return fed.federated_map(average, readings)


@wrong("An evaluated function with a parameter")
def _() -> None:
    @fed.federated_computation
    def evaluated() -> Any:
        return fed.federated_eval(to_celsius, fed.SERVER)


@wrong("A sum of what is no number")
def _() -> None:
    @fed.federated_computation(fed.FederatedType(np.bool_, fed.CLIENTS))
    def count(flags: Any) -> Any:
        return fed.federated_sum(flags)


@wrong("A mean of integers")
def _() -> None:
    @fed.federated_computation(INTS)
    def average(readings: Any) -> Any:
        return fed.federated_mean(readings)


@wrong("An aggregation of tensors of unknown shape")
def _() -> None:
    @fed.federated_computation(fed.FederatedType((np.float32, [None]), fed.CLIENTS))
    def total(readings: Any) -> Any:
        return fed.federated_sum(readings)


@wrong("A weight that is not one number")
def _() -> None:
    @fed.federated_computation(FLOATS, fed.FederatedType((np.float32, [2]), fed.CLIENTS))
    def average(readings: Any, weights: Any) -> Any:
        return fed.federated_mean(readings, weights)


@wrong("An unknown answer to weights of zero")
def _() -> None:
    @fed.federated_computation(FLOATS)
    def average(readings: Any) -> Any:
        return fed.federated_mean(readings, on_zero_weight="zero")


@wrong("An accumulate that does not give what it takes")
def _() -> None:
    @fed.federated_computation(INTS)
    def total(readings: Any) -> Any:
        return fed.federated_aggregate(readings, 0, add_to_float, add, lambda total: total)


@wrong("A zero of another type")
def _() -> None:
    @fed.federated_computation(INTS)
    def total(readings: Any) -> Any:
        return fed.federated_aggregate(readings, 0.0, add, add, lambda total: total)


@wrong("A merge of something else")
def _() -> None:
    @fed.federated_computation(INTS)
    def total(readings: Any) -> Any:
        return fed.federated_aggregate(readings, 0, add, to_celsius, lambda total: total)


@wrong("A report on something else")
def _() -> None:
    @fed.federated_computation(INTS)
    def total(readings: Any) -> Any:
        return fed.federated_aggregate(readings, 0, add, add, to_celsius)


@wrong("Keys of a selection that are no int32 vector")
def _() -> None:
    @fed.federated_computation(INTS, fed.FederatedType(np.int32, fed.SERVER), FLOAT)
    def chosen(keys: Any, highest: Any, values: Any) -> Any:
        return fed.federated_select(keys, highest, values, lambda value, key: value)


@wrong("A secure sum of floats")
def _() -> None:
    @fed.federated_computation(FLOATS)
    def total(readings: Any) -> Any:
        return fed.federated_secure_sum(readings, 100)


@wrong("A secure sum whose bound is no integer")
def _() -> None:
    @fed.federated_computation(INTS)
    def total(readings: Any) -> Any:
        return fed.federated_secure_sum(readings, 100.0)


@wrong("A secure sum with too many bounds")
def _() -> None:
    @fed.federated_computation(fed.FederatedType([np.int32, np.int32], fed.CLIENTS))
    def total(readings: Any) -> Any:
        return fed.federated_secure_sum(readings, [1, 2, 3])


@wrong("An operator on sequences without a sequence")
def _() -> None:
    @fed.federated_computation(np.int32)
    def total(readings: Any) -> Any:
        return fed.sequence_sum(readings)


@wrong("A function of other elements than the sequence has")
def _() -> None:
    @fed.federated_computation(SEQUENCE)
    def converted(readings: Any) -> Any:
        return fed.sequence_map(to_celsius, readings)


@wrong("A reduction that does not give what it takes")
def _() -> None:
    @fed.federated_computation(SEQUENCE)
    def total(readings: Any) -> Any:
        return fed.sequence_reduce(readings, 0, add_to_float)


@wrong("A reduction from a zero of another type")
def _() -> None:
    @fed.federated_computation(SEQUENCE)
    def total(readings: Any) -> Any:
        return fed.sequence_reduce(readings, 0.0, add)


@wrong("Arithmetic on federated values")
def _() -> None:
    @fed.federated_computation(FLOATS)
    def converted(readings: Any) -> Any:
        return (readings - 32) / 1.8


@wrong("A comparison of federated values")
def _() -> None:
    @fed.federated_computation(FLOATS)
    def hot(readings: Any) -> Any:
        return readings > 30


@wrong("A branch on a federated value")
def _() -> None:
    @fed.federated_computation(FLOAT)
    def checked(reading: Any) -> Any:
        return reading if reading else fed.federated_value(0.0, fed.SERVER)


@wrong("NumPy on federated values")
def _() -> None:
    @fed.federated_computation(FLOATS)
    def largest(readings: Any) -> Any:
        return np.max(readings)


@wrong("A value without elements taken apart")
def _() -> None:
    @fed.federated_computation(FLOATS)
    def first(readings: Any) -> Any:
        return readings[0]


@wrong("A call of what is no function")
def _() -> None:
    @fed.federated_computation(FLOAT)
    def called(reading: Any) -> Any:
        return reading()


@wrong("An argument of another type")
def _() -> None:
    @fed.federated_computation(np.int32)
    def converted(reading: Any) -> Any:
        return to_celsius(reading)


@wrong("A noise of a negative size")
def _() -> None:
    fed.federated_computation(FLOATS)(lambda x: fed.federated_noised_sum(x, -1.0))


@wrong("A noise whose size is no float of the server")
def _() -> None:
    sizes = fed.FederatedType(np.int32, fed.SERVER)
    fed.federated_computation(FLOATS, sizes)(lambda x, size: fed.federated_noised_sum(x, size))


@wrong("An earlier noise in other steps")
def _() -> None:
    fed.federated_computation(FLOATS, FLOAT)(lambda x, n: fed.federated_correlated_noised_sum(x, 1.0, n))


@wrong("A constant where a placed value is needed")
def _() -> None:
    identity = fed.federated_computation(lambda x: x, FLOAT)

    @fed.federated_computation
    def constant() -> Any:
        return identity(1.0)


@wrong("A constant that does not fit its type")
def _() -> None:
    @fed.federated_computation
    def converted() -> Any:
        return to_celsius("hot")


@wrong("A constant that no integer dtype holds")
def _() -> None:
    @fed.federated_computation
    def large() -> Any:
        return 2**100


@wrong("An object that is no value of a computation")
def _() -> None:
    @fed.federated_computation
    def members() -> Any:
        return {1, 2, 3}


@wrong("Names that are no strings")
def _() -> None:
    @fed.federated_computation
    def members() -> Any:
        return {1: 2.0}


@wrong("A function that returns nothing")
def _() -> None:
    @fed.federated_computation(FLOATS)
    def average(readings: Any) -> None:
        fed.federated_mean(readings)


@wrong("A value with another type than it is said to have")
def _() -> None:
    @fed.federated_computation(FLOAT)
    def typed(reading: Any) -> Any:
        return fed.to_value(reading, fed.FederatedType(np.int32, fed.SERVER))


@wrong("An operator outside a computation")
def _() -> None:
    fed.federated_value(1.0, fed.SERVER)


@wrong("A value used outside its computation")
def _() -> None:
    leaked = []

    @fed.federated_computation(FLOAT)
    def first(reading: Any) -> Any:
        leaked.append(reading)
        return reading

    @fed.federated_computation
    def second() -> Any:
        return fed.federated_broadcast(leaked[0])


@wrong("A computation used outside the one whose values it uses")
def _() -> None:
    leaked = []

    @fed.federated_computation(np.float32)
    def first(reading: Any) -> Any:
        inner = fed.federated_computation(lambda: to_celsius(reading))
        leaked.append(inner)
        return inner()

    leaked[0]()


@wrong("A number of types that the function does not take")
def _() -> None:
    @fed.federated_computation(FLOATS, FLOAT)
    def average(readings: Any) -> Any:
        return fed.federated_mean(readings)


@wrong("A decorator on what is no function")
def _() -> None:
    fed.federated_computation(FLOATS)(_NUMBER)


@wrong("Too few arguments")
def _() -> None:
    add(1)


@wrong("Too many arguments")
def _() -> None:
    add(1, 2, 3)


@wrong("Arguments for a computation without parameters")
def _() -> None:
    fed.federated_computation(lambda: fed.federated_value(1, fed.SERVER))(1)


@wrong("An argument by a name that there is not")
def _() -> None:
    add(total=1, number=2)


@wrong("An argument given twice")
def _() -> None:
    add(1, total=2)


@wrong("Arguments that a function without types does not take")
def _() -> None:
    fed.federated_computation(lambda total, value: add(total, value))(1)


@wrong("A document that is damaged")
def _() -> None:
    fed.deserialize_computation(b'{"format_version": 1, "name": 3}')


@wrong("A document of a newer version")
def _() -> None:
    fed.deserialize_computation(b'{"format_version": 2}')
