"""Functions, and the ports that come back with them, are all that a plan needs: a mean over devices, as a round."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from model_export.function import ExportedFunctions, Function
from model_export.function_export import export_functions
from plans import client, contract, server
from plans.bundle import Plan, pack, unpack
from plans.manifest import (
    FORMAT_VERSION,
    Aggregation,
    Group,
    Kind,
    Manifest,
    Pass,
    Phase,
    Port,
    Role,
    Selector,
    StateTensor,
    Work,
    features_of,
)
from plans.program import Program
from wire.tensors import Array, TensorSpec

pytestmark = pytest.mark.tensorflow

BATCH_SIZE = 4
SCALAR, LONG = TensorSpec("float32", ()), TensorSpec("int64", ())
BATCH = TensorSpec("float32", (BATCH_SIZE,))


def _client() -> ExportedFunctions:
    def begin(state: Mapping[str, Any], threshold: Any) -> None:
        state["threshold"].assign(threshold)
        state["over"].assign(0)
        state["seen"].assign(0.0)

    def step(state: Mapping[str, Any], reading: Any, weight: Any) -> None:
        is_over = tf.logical_and(reading > state["threshold"], weight > 0.0)
        state["over"].assign_add(tf.reduce_sum(tf.cast(is_over, tf.int64)))
        state["seen"].assign_add(tf.reduce_sum(weight))

    return export_functions(
        {
            "begin": Function(begin, {"threshold": SCALAR}),
            "step": Function(step, {"reading": BATCH, "weight": BATCH}),
            "finish": Function(lambda state: {"over": state["over"], "seen": state["seen"]}),
        },
        state={"threshold": 0.0, "over": np.int64(0), "seen": 0.0},
    )


def _server() -> ExportedFunctions:
    def prepare(state: Mapping[str, Any], threshold: Any, fraction: Any) -> Mapping[str, Any]:
        return {"threshold": threshold}

    def update(
        state: Mapping[str, Any], threshold: Any, fraction: Any, sum_over: Any, sum_seen: Any
    ) -> Mapping[str, Any]:
        return {"threshold": threshold, "fraction": tf.math.divide_no_nan(tf.cast(sum_over, tf.float32), sum_seen)}

    kept = {"threshold": SCALAR, "fraction": SCALAR}
    return export_functions(
        {
            "prepare": Function(prepare, kept),
            "update": Function(update, kept | {"sum_over": LONG, "sum_seen": SCALAR}),
        }
    )


def _plan() -> Plan:
    clients, servers = _client(), _server()
    selector = Selector("default", {"reading": "reading"}, BATCH_SIZE)
    work = Work(
        role=Role.ANALYTICS,
        begin="begin",
        passes=(Pass("step", {"reading": Port(SCALAR)}, selector, example_weight="weight"),),
        finish="finish",
        broadcast=dict(servers.signatures["prepare"].outputs),
        metrics={},
        prepare="prepare",
        update=dict(clients.signatures["finish"].outputs),
        update_state="update",
        aggregation=(Aggregation("counts", Kind.SUM, ("over", "seen")),),
    )
    state = {name: StateTensor(port, Group.OTHER) for name, port in servers.signatures["update"].outputs.items()}
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        name="fraction_over",
        type="(float32@SERVER,{float32*}@CLIENTS -> float32@SERVER)",
        state=state,
        phases=(Phase({"count": work}),),
        required_features=features_of(work),
    )
    initial = {"threshold": np.array(70, np.float32), "fraction": np.array(0, np.float32)}
    return Plan(manifest, clients.tflite, servers.tflite, initial)


class Readings:
    def __init__(self, *values: float) -> None:
        self._values = np.array(values, np.float32)

    def __len__(self) -> int:
        return len(self._values)

    def read(self, indices: Sequence[int]) -> dict[str, Array]:
        return {"reading": self._values[indices]}


def test_a_round_counts_the_readings_over_a_threshold() -> None:
    plan = unpack(pack(_plan()))
    contract.check(plan)
    work, device, servers = plan.manifest.work("count"), Program(plan.client), Program(plan.server)
    broadcast = server.prepare(servers, plan.manifest, work, plan.initial).broadcast
    updates = [
        client.run(device, work, broadcast, {"default": readings}, seed=1).update
        for readings in (Readings(68.5, 70.3, 71.1), Readings(80.0, 10.0, 90.0, 70.0, 100.0, 0.0))
    ]
    assert [int(update["over"]) for update in updates] == [2, 3]
    sums = {name: np.asarray(sum(update[name] for update in updates)) for name in updates[0]}
    state = server.update(servers, plan.manifest, work, plan.initial, sums).state
    np.testing.assert_allclose(state["fraction"], 5 / 9, rtol=1e-6)
