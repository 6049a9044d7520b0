"""What devices keep between the rounds of real processes, killed in between, is what a simulation keeps."""

from typing import Any

import numpy as np
import pytest

import federated as fed
from tests.golden.make_device_state import FIRST, LEDGER
from tests.processes.federation import Federation
from wire import tensors
from wire.operator_messages import RoundPolicy, TaskRequest

pytestmark = [pytest.mark.processes, pytest.mark.timeout(300)]

READINGS = {"anna": [1.0, 2.5], "ben": [10.0, 20.0, 40.0]}


def _averages() -> Any:
    """Each device's mean of all that it has ever sent: wrong in every round but the first if it forgets."""
    import tensorflow as tf

    @fed.tf_computation(fed.to_type((np.float32, np.float32)), fed.to_type((np.float32, np.float32)))
    def followed(kept: Any, own: Any) -> Any:
        """The total of the rounds so far, and how many there were."""
        total, rounds = kept[0] + own[0] * own[1], kept[1] + 1.0
        return (total, rounds), tf.stack([total / rounds, rounds])

    @fed.federated_computation(
        fed.FederatedType(fed.SequenceType(np.float32), fed.CLIENTS), fed.FederatedType(np.float32, fed.SERVER)
    )
    def averages(readings: Any, factor: Any) -> Any:
        first = fed.federated_value((np.float32(0), np.float32(0)), fed.CLIENTS)
        own = fed.federated_zip((fed.sequence_sum(readings), fed.federated_broadcast(factor)))
        return fed.federated_sum(fed.federated_map_with_state(followed, first, own))

    return averages


@pytest.mark.tensorflow
def test_devices_go_on_where_their_last_round_ended(federation: Federation) -> None:
    averages, states = _averages(), fed.simulation.DeviceStates()
    devices = {}
    for name, values in READINGS.items():
        device = federation.enrol(name, {"value": np.array(values, np.float32)}, collection="readings")
        devices[name] = device, federation.start_device(device)

    def fleet(series: str | None = None) -> Any:
        bind = {"readings": fed.on_device("readings")}
        return fed.fleet_context(
            federation.url, api_key=federation.api_key, bind=bind, timeout_seconds=60, series=series
        )

    def here(factor: float) -> Any:
        with states.of(list(READINGS)):
            return averages(list(READINGS.values()), factor)

    expected = [here(factor) for factor in (1.0, 4.0, 7.0)]
    with fleet("averages"):
        found = [averages(factor=factor) for factor in (1.0, 4.0)]
    for name, (device, process) in devices.items():
        process.kill()  # perhaps before it has read the answer to its report
        process.wait()
        devices[name] = device, federation.start_device(device)
    with fleet("averages"):
        found.append(averages(factor=7.0))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(found[-1], [(1 + 4 + 7) / 3 * (3.5 + 70), 6], rtol=1e-6)
    assert "of task averages (compute)" in devices["anna"][0].run("status")
    with fleet():
        np.testing.assert_allclose(averages(factor=7.0), [7 * (3.5 + 70), 2], rtol=1e-6)


def test_a_task_of_three_rounds_adds_up_what_devices_keep(federation: Federation) -> None:
    for name, values in READINGS.items():
        examples = {"celsius": np.array(values, np.float32)}
        federation.start_device(federation.enrol(name, examples, collection="temperature"))
    policy = RoundPolicy(rounds=3, cohort=len(READINGS))
    task = federation.client.push(TaskRequest("ledger", policy=policy), plan=LEDGER.read_bytes())
    assert federation.wait_for_end(task).state == "completed"
    total = sum(sum(values) for values in READINGS.values())
    found = [
        tensors.decode(federation.client.resource(federation.client.result(task.task_id, number).sha256))["sums"]
        for number in (1, 2, 3)
    ]
    np.testing.assert_allclose(found, [len(READINGS) * FIRST + number * total for number in (1, 2, 3)])
