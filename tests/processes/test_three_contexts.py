"""Every example gives the same in the local, the plan and the fleet context, the last with real devices."""

import collections
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import federated as fed
from examples import average_temperature, federated_averaging, fraction_over_threshold, histogram, mean_and_variance
from federated.compiler.collections import OnDevice
from tests.processes.federation import Federation
from wire.tensors import Array

pytestmark = [pytest.mark.processes, pytest.mark.tensorflow, pytest.mark.timeout(300)]

DEVICES = 3
ELEMENTS = 10_000
HITTERS = fed.analytics.HeavyHitters("aet", max_length=4, threshold=2, most=4)
TYPED = ["tea", "tate", "tea"]
READINGS = [[18.2, 19.5, 21.0], [22.4], [17.9, 25.3, 20.0, 19.0]]
BATCHES = federated_averaging.synthetic_clients(DEVICES)


@dataclass(frozen=True)
class Case:
    """A computation with the arguments of the server, and what the clients have, here and on devices."""

    computation: Any
    server: tuple[Any, ...]
    clients: Mapping[str, Any]
    bind: Mapping[str, OnDevice]
    order: Callable[..., tuple[Any, ...]] = field(default=lambda server, clients: (*clients.values(), *server))


@fed.federated_computation(fed.FederatedType(np.float32, fed.CLIENTS))
def aggregators(readings: Any) -> Any:
    """Robust means of a reading, a sum that crosses the network in bytes, and one with a noise of zero."""
    encoded = fed.aggregators.EncodedSumFactory(8).create(fed.to_type(np.float32))
    kinds: dict[str, dict[str, float]] = {
        "median": {},
        "trimmed_mean": {"fraction": 0.4},
        "krum": {"byzantine": 0},
        "geometric_median": {},
    }
    means = {kind: fed.federated_robust_mean(readings, kind, **told) for kind, told in kinds.items()}
    total = encoded.next(fed.federated_value(np.int32(1), fed.SERVER), readings).result
    noised = fed.federated_noised_sum(readings, 0.0)
    return collections.OrderedDict(**means, encoded_sum=total, noised_sum=noised)


LAST = [readings[-1] for readings in READINGS]
TEMPERATURE = {"readings": fed.on_device("temperature", field="celsius")}
DATA = {"data": fed.on_device("handwriting", batch_size=16)}
SERVER_FIRST = {"order": lambda server, clients: (*server, *clients.values())}

CASES = {
    "average temperature": Case(average_temperature.average_temperature, (), {"readings": LAST}, TEMPERATURE),
    "fraction over a threshold": Case(fraction_over_threshold.fraction_over, (20.5,), {"readings": LAST}, TEMPERATURE),
    "aggregators": Case(aggregators, (), {"readings": LAST}, TEMPERATURE),
    "histogram": Case(histogram.histogram, (16.0, 24.0), {"readings": READINGS}, TEMPERATURE),
    "mean and variance": Case(mean_and_variance.mean_and_variance, (20.0,), {"readings": READINGS}, TEMPERATURE),
    "evaluation of a model": Case(
        federated_averaging.evaluate, (federated_averaging.INITIAL_MODEL,), {"data": BATCHES}, DATA, **SERVER_FIRST
    ),
    "federated averaging": Case(
        federated_averaging.train_one_round,
        (federated_averaging.INITIAL_MODEL, 0.05),
        {"data": BATCHES},
        DATA,
        **SERVER_FIRST,
    ),
}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """An orchestrator with three devices, which hold temperatures and handwriting."""
    running = Federation(Path(tmp_path_factory.mktemp("fleet")))
    try:
        for number in range(DEVICES):
            celsius = np.array(READINGS[number], np.float32)
            device = running.enrol(f"device-{number}", {"celsius": celsius}, collection="temperature")
            device.import_examples("handwriting", _examples(number))
            device.import_examples("typed", {"codes": np.stack(HITTERS.encoded([TYPED[number]]))})
            running.start_device(device)
        yield running
    finally:
        running.close()


def _examples(number: int) -> dict[str, Array]:
    """A client's batches as single examples, and a short batch more, which is left out."""
    batches = [*BATCHES[number], {name: values[:3] for name, values in BATCHES[number][0].items()}]
    return {name: np.concatenate([batch[name] for batch in batches]) for name in ("x", "y")}


@pytest.mark.parametrize("name", CASES)
def test_an_example_gives_the_same_in_all_three_contexts(name: str, fleet: Federation) -> None:
    case = CASES[name]
    arguments = case.order(case.server, case.clients)
    local = case.computation(*arguments)
    with fed.plan_context():
        plan = case.computation(*arguments)
    with fed.fleet_context(fleet.url, api_key=fleet.api_key, bind=case.bind, timeout_seconds=60):
        devices = case.computation(*case.server)
    _same(plan, local)
    _same(devices, local)


@fed.tf_computation(np.float32)
def _spread(reading: Any) -> Any:
    import tensorflow as tf

    return tf.fill([ELEMENTS], reading)


@fed.federated_computation(fed.FederatedType(np.float32, fed.CLIENTS), fed.FederatedType(np.float32, fed.SERVER))
def noised_sum(readings: Any, stddev: Any) -> Any:
    """Many sums of the clients' last reading, each with a noise of its own."""
    return fed.federated_noised_sum(fed.federated_map(_spread, readings), stddev)


@pytest.mark.parametrize("stddev", [0.5, 20.0])
def test_an_orchestrator_adds_noise_of_the_size_that_it_is_told(stddev: float, fleet: Federation) -> None:
    with fed.fleet_context(fleet.url, api_key=fleet.api_key, bind=TEMPERATURE, timeout_seconds=60):
        noise = noised_sum(stddev=stddev) - sum(LAST)
    assert abs(noise.var() / stddev**2 - 1) < 6 * math.sqrt(2 / ELEMENTS)  # once in 5 · 10⁸ times it is not
    assert abs(noise.mean()) < 6 * stddev / math.sqrt(ELEMENTS)


@fed.federated_computation(fed.FederatedType(np.float32, fed.CLIENTS))
def private_mean(readings: Any) -> Any:
    """A private mean of vectors that are all longer than the clip; the server computes the noise's size before."""
    factory = fed.aggregators.DifferentiallyPrivateFactory.gaussian_fixed(0.5, DEVICES, clip=100.0)
    process = factory.create(fed.to_type((np.float32, [ELEMENTS])))
    return process.next(process.initialize(), fed.federated_map(_spread, readings)).result


def test_a_private_mean_of_devices_is_clipped_and_noised(fleet: Federation) -> None:
    with fed.fleet_context(fleet.url, api_key=fleet.api_key, bind=TEMPERATURE, timeout_seconds=60):
        mean = private_mean()
    stddev, clipped = 0.5 * 100 / DEVICES, 100 / math.sqrt(ELEMENTS)
    assert abs(mean.var() / stddev**2 - 1) < 6 * math.sqrt(2 / ELEMENTS)
    assert abs(mean.mean() - clipped) < 6 * stddev / math.sqrt(ELEMENTS)


def test_devices_spell_out_the_word_that_most_of_them_have(fleet: Federation) -> None:
    bind = {"word": fed.on_device("typed", field="codes")}
    with fed.fleet_context(fleet.url, api_key=fleet.api_key, bind=bind, timeout_seconds=60):
        found = HITTERS.find([None] * HITTERS.max_length)
    assert found == HITTERS.find([HITTERS.encoded(TYPED)] * HITTERS.max_length) == {"tea": 2.0}


def _same(found: Any, expected: Any) -> None:
    """Integers exactly, floats to 1e-6 relative, in the same containers."""
    assert type(found) is type(expected)
    if isinstance(expected, collections.OrderedDict):
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            _same(found[name], value)
    elif np.asarray(expected).dtype.kind == "f":
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)
    else:
        np.testing.assert_array_equal(found, expected)
