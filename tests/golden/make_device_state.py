"""Makes `ledger.plan`, whose devices keep a sum between rounds: `python -m tests.golden.make_device_state`.

    client    begin(first, seen, has_state)    seen, or `first` on a device that keeps nothing yet
              add(reading, weight)             seen += Σ reading
              finish(flag) -> total, seen      both the same: one crosses the network, the other stays
    server    sums = Σ total

The file is committed, as `linear.plan` is.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from plans import bundle, contract
from plans.bundle import Plan
from plans.manifest import (
    FORMAT_VERSION,
    HAS_STATE,
    Aggregation,
    Kind,
    Manifest,
    Pass,
    Phase,
    Port,
    ResultTensor,
    Role,
    Selector,
    Work,
    features_of,
)
from wire.tensors import TensorSpec

LEDGER = Path(__file__).with_name("ledger.plan")
BATCH_SIZE = 4
FIRST = 100.0

_FLOAT = TensorSpec("float32", ())
_SCALAR = Port(_FLOAT, TensorSpec("float32", (1,)))


def ledger_plan() -> Plan:
    """The plan, made anew with TensorFlow and held against its manifest."""
    work = Work(
        role=Role.ANALYTICS,
        begin="begin",
        finish="finish",
        broadcast={"first": _SCALAR},
        metrics={},
        prepare="prepare",
        passes=(
            Pass(
                "add",
                {"reading": Port(_FLOAT)},
                Selector("temperature", {"reading": "celsius"}, BATCH_SIZE),
                example_weight="weight",
            ),
        ),
        update={"total": _SCALAR},
        update_state="update",
        aggregation=(Aggregation("total", Kind.SUM, ("total",)),),
        device_state={"seen": _SCALAR},
        result={"sums": ResultTensor(_SCALAR)},
    )
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        name="ledger",
        type="({float32*}@CLIENTS -> float32@SERVER)",
        state={},
        phases=(Phase({"ledger": work}),),
        required_features=features_of(work),
    )
    plan = Plan(manifest, _client(), _server(), {})
    contract.check(plan)
    return plan


def _client() -> bytes:
    import tensorflow as tf

    from model_export.function import Function
    from model_export.function_export import export_functions

    def begin(state: Mapping[str, Any], first: Any, seen: Any, has_state: Any) -> None:
        state["seen"].assign(tf.where(has_state > 0.0, seen, first))

    def add(state: Mapping[str, Any], reading: Any, weight: Any) -> None:
        state["seen"].assign_add(tf.reduce_sum(weight * reading))

    batch = TensorSpec("float32", (BATCH_SIZE,))
    return export_functions(
        {
            "begin": Function(begin, dict.fromkeys(("first", "seen", HAS_STATE), _FLOAT)),
            "add": Function(add, {"reading": batch, "weight": batch}),
            "finish": Function(lambda state: {"total": state["seen"] + 0.0, "seen": state["seen"]}),
        },
        state={"seen": 0.0},
    ).tflite


def _server() -> bytes:
    import tensorflow as tf

    from model_export.function import Function
    from model_export.function_export import export_functions

    def update(state: Mapping[str, Any], sum_total: Any) -> Mapping[str, Any]:
        return {"sums": tf.identity(sum_total)}

    return export_functions(
        {
            "prepare": Function(lambda state: {"first": tf.constant(FIRST)}),
            "update": Function(update, {"sum_total": _FLOAT}, samples=({"sum_total": np.array(4, np.float32)},)),
        }
    ).tflite


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    LEDGER.write_bytes(bundle.pack(ledger_plan()))
    print(f"{LEDGER}: {LEDGER.stat().st_size} bytes")
