"""Programs that are refused when they run: what they are given, or what they compute, has no meaning."""

from collections.abc import Callable
from typing import Any

import numpy as np

import federated as fed
from tests.federated.wrong.catalogue import Catalogue, entry

RUNNING: Catalogue = {}

FLOATS = fed.FederatedType(np.float32, fed.CLIENTS)
INTS = fed.FederatedType(np.int32, fed.CLIENTS)


def wrong(title: str) -> Callable[[Callable[[], object]], Callable[[], object]]:
    return entry(RUNNING, title)


@fed.federated_computation(FLOATS)
def average(readings: Any) -> Any:
    return fed.federated_mean(readings)


@fed.federated_computation(FLOATS, FLOATS)
def weighted_average(readings: Any, weights: Any) -> Any:
    return fed.federated_mean(readings, weights)


@fed.federated_computation(INTS)
def total(readings: Any) -> Any:
    return fed.federated_sum(readings)


@fed.federated_computation(INTS)
def secure_total(readings: Any) -> Any:
    return fed.federated_secure_sum(readings, 100)


@fed.federated_computation(FLOATS, fed.FederatedType(np.float32, fed.SERVER))
def noised_total(readings: Any, stddev: Any) -> Any:
    return fed.federated_noised_sum(readings, stddev)


@wrong("Client values that are no list")
def _() -> None:
    average(70.3)


@wrong("A value of another dtype")
def _() -> None:
    average([68.5, "hot"])


@wrong("A value that its dtype cannot hold")
def _() -> None:
    total([1, 2**40])


@wrong("A value of another shape")
def _() -> None:
    fed.federated_computation(lambda x: x, fed.FederatedType((np.float32, [2]), fed.SERVER))([1.0, 2.0, 3.0])


@wrong("A container with other elements")
def _() -> None:
    fed.federated_computation(lambda x: x, [("low", np.int32), ("high", np.int32)])({"low": 1, "hi": 2})


@wrong("Something else than a container")
def _() -> None:
    fed.federated_computation(lambda x: x, fed.FederatedType([("low", np.int32)], fed.CLIENTS))([1])


@wrong("Something else than a sequence")
def _() -> None:
    fed.federated_computation(lambda x: x, fed.SequenceType(np.int32))(3)


@wrong("A function given to a computation that is run")
def _() -> None:
    function = fed.FunctionType(np.int32, np.int32)
    fed.federated_computation(lambda f, x: f(x), function, np.int32)(abs, -1)


@wrong("A function as a result")
def _() -> None:
    fed.federated_computation(lambda: average)()


@wrong("Arguments that disagree on the number of clients")
def _() -> None:
    weighted_average([68.5, 70.3], [1.0])


@wrong("A mean of no clients")
def _() -> None:
    average([])


@wrong("A mean whose weights are all zero")
def _() -> None:
    weighted_average([68.5, 70.3], [0.0, 0.0])


@wrong("A negative weight")
def _() -> None:
    weighted_average([68.5, 70.3], [1.0, -1.0])


@wrong("A value that is not finite")
def _() -> None:
    average([68.5, float("nan")])


@wrong("A sum that its dtype cannot hold")
def _() -> None:
    total([2**31 - 1, 1])


@wrong("A value beyond the bound of a secure sum")
def _() -> None:
    secure_total([5, 101])


@wrong("A value below zero in a secure sum")
def _() -> None:
    secure_total([5, -1])


@wrong("A noise that there is not")
def _() -> None:
    noised_total([68.5, 70.3], -1.0)


@wrong("A value that a noised sum has no room for")
def _() -> None:
    noised_total([68.5, 1e9], 1.0)


@wrong("A bitwidth that there is not")
def _() -> None:
    fed.federated_computation(lambda x: fed.federated_secure_sum_bitwidth(x, 99), INTS)([1])


@wrong("A modulus that there is not")
def _() -> None:
    fed.federated_computation(lambda x: fed.federated_secure_modular_sum(x, 0), INTS)([1])


@wrong("A key that selects nothing")
def _() -> None:
    keys = fed.FederatedType((np.int32, [1]), fed.CLIENTS)
    value = fed.FederatedType(np.int32, fed.SERVER)
    chosen = fed.federated_computation(
        lambda k, m, v: fed.federated_select(k, m, v, lambda x, _: x), keys, value, value
    )
    chosen([[0], [3]], 3, 7)


@fed.federated_computation(FLOATS)
def last_readings(readings: Any) -> Any:
    zero = fed.federated_value(np.float32(0), fed.CLIENTS)
    return fed.federated_sum(fed.federated_map_with_state(lambda kept, x: (x, kept), zero, readings))


@wrong("Clients that keep state, and that nobody knows")
def _() -> None:
    last_readings([1.0, 2.0])


@wrong("Ids of other clients than take part")
def _() -> None:
    with fed.simulation.DeviceStates().of(["roof"]):
        last_readings([1.0, 2.0])


@wrong("A state that is not finite")
def _() -> None:
    with fed.simulation.DeviceStates().of(["roof"]):
        last_readings([float("inf")])
