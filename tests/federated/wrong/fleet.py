"""Calls that a fleet refuses before any device, or the orchestrator, has heard of them."""

from collections.abc import Callable
from typing import Any

import numpy as np

import federated as fed
from tests.federated.wrong.catalogue import Catalogue, entry

FLEET: Catalogue = {}

FLOATS = fed.FederatedType(np.float32, fed.CLIENTS)
NUMBER = fed.FederatedType(np.float32, fed.SERVER)
BATCHES = fed.FederatedType(fed.SequenceType((np.float32, [None])), fed.CLIENTS)
READINGS = fed.on_device("temperature")


def wrong(title: str) -> Callable[[Callable[[], object]], Callable[[], object]]:
    return entry(FLEET, title)


def _fleet(**bind: Any) -> Any:
    """A fleet at an address where nobody listens: nothing here gets as far."""
    return fed.fleet_context("http://127.0.0.1:9", api_key="fdo_nobody", bind=bind)


@fed.federated_computation(FLOATS, NUMBER)
def shifted(readings: Any, by: Any) -> Any:
    return fed.federated_mean(readings), by


@wrong("A parameter of the clients that is bound to nothing")
def _() -> None:
    with _fleet():
        shifted(by=1.0)


@wrong("A collection bound to no parameter")
def _() -> None:
    with _fleet(readings=READINGS, reading=READINGS):
        shifted(by=1.0)


@wrong("A collection without on_device")
def _() -> None:
    with _fleet(readings="temperature"):
        shifted(by=1.0)


@wrong("Values of clients given to a fleet")
def _() -> None:
    with _fleet(readings=READINGS):
        shifted(readings=[1.0, 2.0], by=1.0)


@wrong("A value of the server that is not given")
def _() -> None:
    with _fleet(readings=READINGS):
        shifted()


@wrong("A second round trip with the same devices")
def _() -> None:
    @fed.federated_computation(FLOATS)
    def again(readings: Any) -> Any:
        mean = fed.federated_broadcast(fed.federated_mean(readings))
        return fed.federated_sum(fed.federated_map(lambda pair: pair[1], (readings, mean)))

    with _fleet(readings=READINGS):
        again()


@wrong("A secure sum without secure aggregation")
def _() -> None:
    @fed.federated_computation(fed.FederatedType(np.int32, fed.CLIENTS))
    def votes(ballots: Any) -> Any:
        return fed.federated_secure_sum(ballots, 1)

    with _fleet(ballots=fed.on_device("ballots")):
        votes()


@wrong("A noise that is remembered")
def _() -> None:
    @fed.federated_computation(FLOATS, fed.FederatedType(np.int64, fed.SERVER))
    def residual(readings: Any, earlier: Any) -> Any:
        return fed.federated_correlated_noised_sum(readings, 1.0, earlier)

    with _fleet(readings=READINGS):
        residual(earlier=0)


@wrong("Batches of no size")
def _() -> None:
    @fed.federated_computation(BATCHES)
    def first(data: Any) -> Any:
        zero = np.float32(0)
        return fed.federated_sum(fed.federated_map(lambda d: fed.sequence_reduce(d, zero, lambda pair: pair[0]), data))

    with _fleet(data=READINGS):
        first()


@wrong("A field of a tensor that there is not")
def _() -> None:
    with _fleet(readings=fed.on_device("temperature", fields={"celsius": "celsius"})):
        shifted(by=1.0)


@wrong("A policy with a field that there is not")
def _() -> None:
    fed.fleet_context("http://127.0.0.1:9", api_key="fdo_nobody", policy={"devices": 4})


@wrong("An orchestrator that does not answer")
def _() -> None:
    with _fleet(readings=READINGS):
        shifted(by=1.0)
