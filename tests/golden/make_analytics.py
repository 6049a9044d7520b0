"""Makes plans that are no learning: `python -m tests.golden.make_analytics`.

`readings.plan`     the mean and the spread of a stream, its highest value, and how far apart the devices' levels are:
                    four passes over two collections, wide, fixed-point, extreme and custom sums, temp, a typed result
`headcount.plan`    how many devices there are: no state, no broadcast, no data
`deviation.plan`    the mean of a stream, and then how far it strays from that, scaled by a state: two phases

    readings    begin(threshold), stream(reading, weight), spread_open(flag), spread(reading), newest(level),
                tick(flag), finish(flag)
    server      mean = Σ total / Σ count + offset; excess = ln(highest - threshold), NaN where nothing is over it

The files are committed, as `linear.plan` is; `tests.plans.readings` holds them to numpy.
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
    WIDE_BITS,
    WIDE_FRACTION_BITS,
    Aggregation,
    Group,
    Kind,
    Manifest,
    Order,
    Pass,
    Phase,
    Port,
    ResultTensor,
    Role,
    Selector,
    StateTensor,
    Work,
    features_of,
)
from wire.tensors import TensorSpec

FOLDER = Path(__file__).parent
READINGS, HEADCOUNT, DEVIATION = (FOLDER / f"{name}.plan" for name in ("readings", "headcount", "deviation"))
BATCH_SIZE, SPREAD_BATCH_SIZE = 4, 2
THRESHOLD, OFFSET = 30.0, 0.5
FAR = 1000  # from the levels of every device

State = Mapping[str, Any]
_FLOAT, _INT, _LONG = (TensorSpec(dtype, ()) for dtype in ("float32", "int32", "int64"))
_SCALAR, _LEVEL = Port(_FLOAT, TensorSpec("float32", (1,))), Port(_INT, TensorSpec("int32", (1,)))
_CUSTOM = {name: f"span_{name}" for name in ("zero", "accumulate", "merge", "report")}


def readings_plan() -> Plan:
    """A computation as an analyst writes one."""
    clients, servers = _readings_client(), _readings_server()
    stream = Selector("temperature", {"reading": "celsius"}, BATCH_SIZE)
    spread = Selector("temperature", {"reading": "celsius"}, SPREAD_BATCH_SIZE, drop_remainder=True)
    newest = Selector("battery", {"level": "percent"}, 1, order=Order.NEWEST, limit=1)
    work = Work(
        role=Role.ANALYTICS,
        begin="begin",
        finish="finish",
        broadcast={"threshold": _SCALAR},
        metrics={},
        prepare="prepare",
        passes=(
            Pass("stream", {"reading": Port(_FLOAT)}, stream, example_weight="weight"),
            Pass("spread", {"reading": Port(_FLOAT)}, spread, open="spread_open"),
            Pass("newest", {"level": Port(_INT)}, newest),
            Pass("tick", {}, Selector("battery", {}, 1)),
        ),
        update=dict(clients.signatures["finish"].outputs),
        update_state="update",
        aggregation=(
            Aggregation("mean", Kind.MEAN, ("total",), "count", bits=WIDE_BITS, fraction_bits=WIDE_FRACTION_BITS),
            Aggregation("spread", Kind.SUM, ("squares", "ticks")),
            Aggregation("highest", Kind.MAX, ("highest",)),
            Aggregation(
                "span",
                Kind.CUSTOM,
                ("level",),
                signatures=_CUSTOM,
                accumulator={"low": _LEVEL, "high": _LEVEL},
                result={"span": _LEVEL},
            ),
        ),
        temp={"offset": _SCALAR},
        result={
            "mean": ResultTensor(_SCALAR, "temperature/mean"),
            "squares": ResultTensor(_SCALAR, "temperature/squares"),
            "highest": ResultTensor(_SCALAR, "temperature/highest"),
            "excess": ResultTensor(_SCALAR, "temperature/excess"),
            "count": ResultTensor(servers.signatures["update"].outputs["count"], "count"),
            "span": ResultTensor(_LEVEL),
            "ticks": ResultTensor(_LEVEL),
        },
    )
    temperature = "<mean=float32,squares=float32,highest=float32,excess=float32>"
    kind = f"({{<float32*,int32*>}}@CLIENTS -> <temperature={temperature},count=int64,span=int32,ticks=int32>@SERVER)"
    return _plan("readings", kind, [work], clients, servers)


def _readings_client() -> Any:
    import tensorflow as tf

    from model_export.function import Function
    from model_export.function_export import export_functions

    def begin(state: State, threshold: Any) -> None:
        for name in ("total", "mean", "squares"):
            state[name].assign(0.0)
        state["count"].assign(0)
        state["highest"].assign(threshold - 100.0)
        state["level"].assign(0)
        state["ticks"].assign(0)

    def stream(state: State, reading: Any, weight: Any) -> None:
        state["total"].assign_add(tf.reduce_sum(weight * reading))
        state["count"].assign_add(tf.reduce_sum(tf.cast(weight, tf.int64)))
        seen = tf.where(weight > 0.0, reading, state["highest"])
        state["highest"].assign(tf.maximum(state["highest"], tf.reduce_max(seen)))

    def spread_open(state: State) -> None:
        state["mean"].assign(state["total"] / tf.cast(tf.maximum(state["count"], 1), tf.float32))

    def spread(state: State, reading: Any) -> None:
        state["squares"].assign_add(tf.reduce_sum((reading - state["mean"]) * (reading - state["mean"])))

    def newest(state: State, level: Any) -> None:
        state["level"].assign(level[0])

    def tick(state: State) -> None:
        state["ticks"].assign_add(1)

    batch, pair = (TensorSpec("float32", (size,)) for size in (BATCH_SIZE, SPREAD_BATCH_SIZE))
    given = ("total", "count", "squares", "highest", "level", "ticks")
    ones = np.ones(BATCH_SIZE, np.float32)
    return export_functions(
        {
            "begin": Function(begin, {"threshold": _FLOAT}),
            "stream": Function(
                stream, {"reading": batch, "weight": batch}, samples=({"reading": 3 * ones, "weight": ones},)
            ),
            "spread_open": Function(spread_open),
            "spread": Function(spread, {"reading": pair}),
            "newest": Function(newest, {"level": TensorSpec("int32", (1,))}),
            "tick": Function(tick),
            "finish": Function(lambda state: {name: state[name] for name in given}),
        },
        state=dict.fromkeys(("total", "mean", "squares", "highest"), 0.0)
        | {"count": np.int64(0), "level": np.int32(0), "ticks": np.int32(0)},
    )


def _readings_server() -> Any:
    import tensorflow as tf

    from model_export.function import Function
    from model_export.function_export import export_functions

    def update(state: State, **given: Any) -> Mapping[str, Any]:
        return {
            "mean": given["sum_total"] / tf.cast(given["sum_count"], tf.float32) + given["offset"],
            "squares": tf.identity(given["sum_squares"]),
            "highest": tf.identity(given["sum_highest"]),
            "excess": tf.math.log(given["sum_highest"] - THRESHOLD),
            "count": tf.identity(given["sum_count"]),
            "span": tf.identity(given["sum_span"]),
            "ticks": tf.identity(given["sum_ticks"]),
        }

    def accumulate(state: State, low: Any, high: Any, value_level: Any) -> Mapping[str, Any]:
        return {"low": tf.minimum(low, value_level), "high": tf.maximum(high, value_level)}

    def merge(state: State, low: Any, high: Any, other_low: Any, other_high: Any) -> Mapping[str, Any]:
        return {"low": tf.minimum(low, other_low), "high": tf.maximum(high, other_high)}

    floats = {name: np.array(40, np.float32) for name in ("sum_total", "sum_squares", "sum_highest", "offset")}
    sample = floats | {"sum_count": np.array(4), "sum_span": np.array(3, np.int32), "sum_ticks": np.array(5, np.int32)}
    return export_functions(
        {
            "prepare": Function(lambda state: {"threshold": tf.constant(THRESHOLD), "offset": tf.constant(OFFSET)}),
            "update": Function(
                update,
                dict.fromkeys(floats, _FLOAT) | {"sum_count": _LONG, "sum_span": _INT, "sum_ticks": _INT},
                samples=(sample,),
            ),
            "span_zero": Function(lambda state: {"low": tf.constant(FAR), "high": tf.constant(-FAR)}),
            "span_accumulate": Function(accumulate, dict.fromkeys(("low", "high", "value_level"), _INT)),
            "span_merge": Function(merge, dict.fromkeys(("low", "high", "other_low", "other_high"), _INT)),
            "span_report": Function(
                lambda state, low, high: {"span": high - low}, dict.fromkeys(("low", "high"), _INT)
            ),
        }
    )


def headcount_plan() -> Plan:
    """A computation that needs nothing but the devices themselves."""
    import tensorflow as tf

    from model_export.function import Function
    from model_export.function_export import export_functions

    clients = export_functions(
        {"begin": Function(lambda state: None), "finish": Function(lambda state: {"present": tf.constant(1)})}
    )
    servers = export_functions(
        {
            "prepare": Function(lambda state: None),
            "update": Function(lambda state, sum_present: {"devices": tf.identity(sum_present)}, {"sum_present": _INT}),
            "note": Function(lambda state: {"devices": tf.constant(0)}),  # for a work without an update
        }
    )
    work = Work(
        role=Role.ANALYTICS,
        begin="begin",
        finish="finish",
        broadcast={},
        metrics={},
        prepare="prepare",
        update={"present": _LEVEL},
        update_state="update",
        aggregation=(Aggregation("present", Kind.SUM, ("present",), fraction_bits=0),),
        result={"devices": ResultTensor(_LEVEL)},
    )
    return _plan("headcount", "( -> int32@SERVER)", [work], clients, servers)


def deviation_plan() -> Plan:
    """A computation whose second broadcast depends on its first aggregate."""
    clients, servers = _deviation_client(), _deviation_server()
    selector = Selector("temperature", {"reading": "celsius"}, BATCH_SIZE)

    def work(phase: str, **changes: Any) -> Work:
        return Work(
            role=Role.ANALYTICS,
            begin=f"{phase}_begin",
            finish="finish",
            metrics={},
            prepare=f"{phase}_prepare",
            passes=(Pass("step", {"reading": Port(_FLOAT)}, selector, example_weight="weight"),),
            update={"total": _SCALAR, "count": _SCALAR},
            update_state=f"{phase}_update",
            aggregation=(Aggregation("mean", Kind.MEAN, ("total",), "count"),),
            **changes,
        )

    first = work("first", broadcast={}, carried={"mean": _SCALAR})
    result = {name: ResultTensor(_SCALAR, name) for name in ("around", "deviation")}
    second = work("second", broadcast={"mean": _SCALAR}, result=result)
    kind = "(<float32@SERVER,{float32*}@CLIENTS> -> <float32,<around=float32,deviation=float32>>@SERVER)"
    state = {"scale": StateTensor(_SCALAR, Group.OTHER)}
    return _plan("deviation", kind, [first, second], clients, servers, state)


def _deviation_client() -> Any:
    import tensorflow as tf

    from model_export.function import Function
    from model_export.function_export import export_functions

    def begin(state: State, mean: Any) -> None:
        state["mean"].assign(mean)
        state["total"].assign(0.0)
        state["count"].assign(0.0)

    def step(state: State, reading: Any, weight: Any) -> None:
        state["total"].assign_add(tf.reduce_sum(weight * tf.abs(reading - state["mean"])))
        state["count"].assign_add(tf.reduce_sum(weight))

    batch = TensorSpec("float32", (BATCH_SIZE,))
    return export_functions(
        {
            "first_begin": Function(lambda state: begin(state, tf.constant(0.0))),
            "second_begin": Function(begin, {"mean": _FLOAT}),
            "step": Function(step, {"reading": batch, "weight": batch}),
            "finish": Function(lambda state: {name: state[name] for name in ("total", "count")}),
        },
        state=dict.fromkeys(("mean", "total", "count"), 0.0),
    )


def _deviation_server() -> Any:
    import tensorflow as tf

    from model_export.function import Function
    from model_export.function_export import export_functions

    scale, mean = {"scale": _FLOAT}, {"mean": _FLOAT}
    sums = {"sum_total": _FLOAT, "sum_count": _FLOAT}
    sample = {name: np.array(4, np.float32) for name in (*scale, *sums)}

    def first_update(state: State, scale: Any, sum_total: Any, sum_count: Any) -> Mapping[str, Any]:
        return {"mean": sum_total / sum_count}

    def second_update(state: State, scale: Any, mean: Any, sum_total: Any, sum_count: Any) -> Mapping[str, Any]:
        return {"scale": scale + 1.0, "around": tf.identity(mean), "deviation": scale * sum_total / sum_count}

    return export_functions(
        {
            "first_prepare": Function(lambda state, scale: None, scale),
            "first_update": Function(first_update, scale | sums, samples=(sample,)),
            "second_prepare": Function(lambda state, scale, mean: {"mean": tf.identity(mean)}, scale | mean),
            "second_update": Function(
                second_update, scale | sums | mean, samples=(sample | {"mean": np.array(2, np.float32)},)
            ),
        }
    )


def _plan(
    name: str,
    kind: str,
    phases: list[Work],
    clients: Any,
    servers: Any,
    state: Mapping[str, StateTensor] | None = None,
) -> Plan:
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        name=name,
        type=kind,
        state=dict(state or {}),
        phases=tuple(Phase({name: work}) for work in phases),
        required_features=features_of(*phases),
    )
    plan = Plan(manifest, clients.tflite, servers.tflite, {label: np.array(2, np.float32) for label in manifest.state})
    contract.check(plan)
    return plan


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for path, make in ((READINGS, readings_plan), (HEADCOUNT, headcount_plan), (DEVIATION, deviation_plan)):
        path.write_bytes(bundle.pack(make()))
        print(f"{path}: {path.stat().st_size} bytes")
